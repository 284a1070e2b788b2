"""Jobs in worker processes: episodes, updates, diagnostics."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import cv2
import gymnasium
import numpy as np
import pytest
from conftest import UPDATE
from dashboard_runs import get, rows, serving, wait_until, workers_of

import frankrl
from frankrl.agent import Agent
from frankrl.config import AtariSettings
from frankrl.core.processes import search_path
from frankrl.core.random import Use, reset_seed
from frankrl.dashboard.jobs import Jobs
from frankrl.dashboard.work import episode as episode_work
from frankrl.dashboard.work import update as update_work
from frankrl.dashboard.work.diagnostics import dead_units, diagnose, episode_sizes
from frankrl.dashboard.work.episode import learned_return, play
from frankrl.environments import CheckedEnv, describe
from frankrl.environments.layer_colours import in_layers
from frankrl.environments.preprocessing import Preprocessing
from frankrl.explaining import reopen
from frankrl.opening import open_network, open_states
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(root):
    return root / "cart" / "s0"


def ask(port, path):
    """The last line of an answer, and all lines before it."""
    status, _, body = get(port, path)
    assert status == 200, body
    *before, last = map(json.loads, body.splitlines())
    return last, before


@pytest.fixture(scope="module")
def run_id(port, run):
    (run_id,) = (row["id"] for row in rows(port) if row["name"] == "cart/s0")
    return run_id


def test_an_update_has_the_same_content_as_in_frank_explain(port, run_id, explained):
    answer, _ = ask(port, f"/update/{run_id}?number={UPDATE}")
    expected = json.loads(json.dumps(explained))
    for states in ("observation", "next_observation"):
        assert len(expected["batch"].pop(states)) == 32
    assert answer["result"]["record"] == expected
    status, headers, page = get(port, f"/pieces/{answer['name']}/3")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    shown = page.decode()
    for number in ("targets", "chosen_q", "td_errors", "losses"):
        assert f"<b>{explained[number][3]:.4g}</b>" in shown
    assert "<script" not in shown
    assert answer["result"]["followed"] == 32


def test_an_update_that_does_not_exist_gives_an_error(port, run_id):
    answer, _ = ask(port, f"/update/{run_id}?number=99999")
    assert "has the updates 1 to" in answer["error"]


def test_an_episode_is_that_of_the_newest_checkpoint(port, run, run_id):
    answer, _ = ask(port, f"/episode/{run_id}?seed=5")
    episode = answer["result"]
    agent = frankrl.load(run)
    env = gymnasium.make("CartPole-v1")
    state, _ = env.reset(seed=reset_seed(5, Use.FILM_RESET, 0, 0))
    ended, rewards = False, []
    while not ended:
        step = len(rewards)
        np.testing.assert_allclose(episode["states"][step], state, rtol=1e-6)
        np.testing.assert_allclose(episode["q_values"][step], agent.q_values(state), rtol=1e-6)
        assert episode["actions"][step] == agent.act(state)
        state, reward, terminated, truncated, _ = env.step(int(agent.act(state)))
        rewards.append(reward)
        ended = terminated or truncated
    env.close()
    assert episode["rewards"] == rewards
    gamma = RunFolder.open(run).description.settings.learning.gamma
    followed = sum(gamma**k * reward for k, reward in enumerate(rewards))
    assert episode["discounted_return"] == pytest.approx(followed)
    assert episode["predicted"] == max(episode["q_values"][0])
    for number in (0, len(rewards)):
        status, headers, picture = get(port, f"/pieces/{answer['name']}/{number}")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert picture.startswith(b"\xff\xd8")
    assert get(port, f"/pieces/{answer['name']}/{len(rewards) + 1}")[0] == 404


def trained_on_frank_easy(path, env_id="Easy-v0", **settings):
    """A run on an environment that renders no pictures."""
    frankrl.train(
        f"frank_easy:{env_id}",
        preset="default",
        out=path,
        hidden_widths=(8,),
        total_env_steps=200,
        learning_starts_env_steps=100,
        final_evaluation_episodes=1,
        **settings,
    )
    return path


def test_an_environment_that_draws_no_picture_is_shown_by_its_numbers(tmp_path):
    path = trained_on_frank_easy(tmp_path / "easy")
    episode = play(RunFolder.open(path), 0, tmp_path, lambda done, of: None)
    assert episode["pictures"] is False
    assert len(episode["q_values"]) == len(episode["rewards"]) == len(episode["states"]) - 1
    assert episode["episode_return"] == sum(episode["rewards"])


def test_an_episode_shows_what_the_network_sees_at_every_step(seeing, tmp_path):
    episode = play(seeing, 3, tmp_path, lambda done, of: None)
    env = CheckedEnv(describe("MinAtar/Breakout-v1", {}))
    rows = [np.zeros((10, 10, 4), np.uint8), env.reset(episode["reset_seed"], 0)]
    rows += [env.step(action).row for action in episode["actions"]]
    env.close()
    for step in range(len(rows) - 1):
        sheet = cv2.imread(str(tmp_path / f"{episode['seen_from'] + step}.png"))[:, :, ::-1]
        assert sheet.shape == (10, 21, 3)
        for left, row in ((0, rows[step]), (11, rows[step + 1])):
            np.testing.assert_array_equal(sheet[:, left : left + 10], in_layers(row))
    assert not (tmp_path / f"{episode['seen_from'] + len(rows) - 1}.png").exists()
    assert episode["component_names"] == ()
    assert episode["states"][0] == []
    assert (episode["frame_stack"], episode["num_components"]) == (2, 0)


@pytest.mark.parametrize(
    ("clip", "life", "expected"),
    [
        # 5 + 0.5 · 0 + 0.25 · (-3) + 0.125 · 2, whole; clipped; up to the lost life; both.
        (False, False, 4.5),
        (True, False, 0.875),
        (False, True, 4.25),
        (True, True, 0.75),
    ],
)
def test_the_return_to_compare_with_q_is_the_learners(clip, life, expected):
    atari = AtariSettings(life_loss_terminates=life)
    rewards, lost = np.array([5.0, 0, -3, 2]), [False, False, True, False]
    preprocessing = Preprocessing(clip_rewards=clip, atari=atari)
    assert learned_return(rewards, lost, preprocessing, 0.5) == expected


@pytest.fixture(scope="module")
def rescaled_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("rescaled") / "easy"
    return RunFolder.open(trained_on_frank_easy(path, value_rescaling=True))


def test_a_perfect_network_on_the_scale_h_is_told_as_perfect(rescaled_run, tmp_path, monkeypatch):
    def in_words(*_):
        return None

    real = frankrl.load(rescaled_run.path)
    size = len(real.spec.action_names)
    gamma = rescaled_run.description.settings.learning.gamma

    def played(best):
        """An episode of action 0, of which the network expects so much."""

        def q_values(observation, mask, memory=None):
            return np.array([[best, *[best - 1] * (size - 1)]]), None

        agent = Agent(real.spec, q_values, 0.0, real.run, real.trained)
        monkeypatch.setattr(episode_work, "agent_of", lambda folder, opened: agent)
        return play(rescaled_run, 0, tmp_path, in_words)

    rewards = played(0.0)["rewards"]
    followed = sum(gamma**k * 1.0 * reward for k, reward in enumerate(rewards))
    perfect = np.sign(followed) * (np.sqrt(abs(followed) + 1) - 1) + followed / 1000
    assert abs(perfect - followed) > 0.1
    episode = played(perfect)
    assert episode["predicted"] == pytest.approx(episode["discounted_return"])
    assert episode["return_is_of"] == "on the scale h of value_rescaling"
    assert episode["output_name"] == "rescaled Q-value"
    assert episode["episode_return"] == sum(rewards)


def test_dead_units_are_those_of_whole_stacks(seeing):
    opened = open_network(seeing)
    states = open_states(seeing, opened, 2_048)
    # Every step but the first of each environment, before which there is no other one.
    count = int(opened.info["env_steps"]) - seeing.description.settings.environment.num_envs
    assert states.shape == (count, 2, 10, 10, 4)
    (outputs,) = opened.experiment.network.relu_outputs(opened.params, states)
    diagnostics = diagnose(seeing)
    assert diagnostics["dead_units"] == (int((outputs.max(axis=0) == 0).sum()),)
    assert (diagnostics["widths"], diagnostics["states"]) == ((8,), count)
    assert diagnostics["transitions"] == diagnostics["env_steps"] >= 60


def test_an_updates_pictures_are_files_of_their_own_that_the_page_names_by_number(
    seeing, tmp_path, monkeypatch
):
    opened = []

    def noted(*given, **named):
        opened.append(reopen(*given, **named))
        return opened[-1]

    monkeypatch.setattr(update_work, "reopen", noted)
    result = update_work.open_update(seeing, 10, tmp_path, lambda done, of: None)
    (reopened,) = opened
    numbers = []
    for index in range(result["followed"]):
        page = (tmp_path / f"{index}.html").read_text("utf-8")
        assert "data:" not in page
        own = re.findall(r'<img src="(\d+)"', page)
        batch = reopened.record.batch
        stacks = [*batch.observation[index], *batch.next_observation[index]]
        for number, row in zip(own, stacks, strict=True):
            pixels = cv2.imread(str(tmp_path / f"{number}.png"))[:, :, ::-1]
            np.testing.assert_array_equal(pixels, in_layers(row))
        numbers += own
    assert len(set(numbers)) == len(numbers) == 3 * 4
    assert min(map(int, numbers)) == update_work.MAX_TRANSITIONS


def test_a_numbered_world_is_shown_by_its_states_places(tmp_path):
    path = tmp_path / "squares"
    settings = {"total_env_steps": 60, "learning_starts_env_steps": 10}
    frankrl.train(
        "frankrl/NineSquares-v0",
        q_function="table",
        out=path,
        final_evaluation_episodes=1,
        **settings,
    )
    episode = play(RunFolder.open(path), 0, tmp_path, lambda done, of: None)
    assert episode["component_names"] == ("state",)
    for (state,) in episode["states"]:
        number = int(state.split()[0])
        assert state == f"{number} (row {number // 3}, column {number % 3})"


def test_diagnostics_count_what_the_checkpoint_holds(port, run, run_id):
    diagnostics = ask(port, f"/diagnostics/{run_id}")[0]["result"]
    folder = RunFolder.open(run)
    checkpoint = list_checkpoints(folder.checkpoints)[-1]
    arrays = load_checkpoint(checkpoint, {"replay": 1 << 24}).tensors["replay"]
    assert diagnostics["env_steps"] == 600
    # With three steps, the last two of each of the two environments begin no transition yet.
    assert diagnostics["transitions"] == 600 - 2 * 2
    # Every env step, where the environments stand, and what ended episodes arrived at.
    endings = int(arrays[".num_endings"])
    held = [len(arrays[f".{part}.observation"]) for part in ("steps", "current", "endings")]
    assert diagnostics["states"] == sum(held) == 600 + 2 + endings
    assert diagnostics["widths"] == [16, 8]
    assert all(
        0 <= dead <= width
        for dead, width in zip(diagnostics["dead_units"], diagnostics["widths"], strict=True)
    )


def test_transitions_are_counted_by_episode(run):
    folder = RunFolder.open(run)
    reader = MetricsReader(folder.metrics)
    ended = reader.columns("episodes")
    reader.close()
    # Of two environments the even env steps belong to the first.
    sizes = episode_sizes(folder, np.arange(600, dtype=np.uint32))
    lengths = sorted(ended["length"].tolist())
    assert sizes.sum() == 600
    remaining = sorted(sizes.tolist())
    for length in lengths:
        remaining.remove(length)
    assert len(remaining) <= 2


def test_a_unit_that_never_fires_is_dead(run):
    experiment, params, *_ = open_network(RunFolder.open(run))
    network, (first, second) = experiment.network, params.hidden
    bias = np.array(first.bias)
    bias[[2, 7, 11]] = -1e6
    stuck = params._replace(hidden=(first._replace(bias=bias), second))
    states = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    before, widths = dead_units(network, params, states)
    after, _ = dead_units(network, stuck, states)
    hidden = np.maximum(states @ first.weight + first.bias, 0)
    alive_before = (hidden > 0).any(axis=0)
    assert widths == (16, 8)
    assert before[0] == (~alive_before).sum()
    assert after[0] == before[0] + alive_before[[2, 7, 11]].sum()


def test_the_same_question_is_worked_on_once(port, run_id):
    first, _ = ask(port, f"/diagnostics/{run_id}")
    again, before = ask(port, f"/diagnostics/{run_id}")
    assert again == first
    assert before == []


def test_work_ends_with_the_client_that_asked_for_it(run):
    async def leave():
        jobs = Jobs(search_path(), allow_code=False)
        gone = asyncio.Event()

        async def is_gone():
            return gone.is_set()

        order = {"kind": "episode", "run": str(run), "seed": 0}
        lines = jobs.answers(("episode",), order, is_gone)
        working = asyncio.ensure_future(anext(lines, None))
        while not (workers := workers_of(os.getpid())):
            await asyncio.sleep(0.01)
        gone.set()
        assert await working is None
        while any(worker in workers_of(os.getpid()) for worker in workers):
            await asyncio.sleep(0.01)
        assert list(jobs._place.iterdir()) == []
        assert not jobs._turn.locked()
        jobs.close()
        assert not jobs._place.exists()

    asyncio.run(leave())


def test_the_server_frees_everything_of_a_client_that_goes_away(root):
    with serving(root) as (port, process):
        run_id = rows(port)[0]["id"]
        stream = socket.create_connection(("127.0.0.1", port))
        stream.sendall(_request("/events", port))
        assert stream.recv(15) == b"HTTP/1.1 200 OK"
        work = socket.create_connection(("127.0.0.1", port))
        work.sendall(_request(f"/episode/{run_id}?seed=1", port))
        workers = wait_until(lambda: workers_of(process))
        stream.close()
        work.close()
        wait_until(lambda: not set(workers) & set(workers_of(process)))
        # The turn is free again.
        assert "result" in ask(port, f"/diagnostics/{run_id}")[0]


def _request(path, port):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def test_a_job_that_fails_reports_the_error(run, tmp_path):
    async def ask_for_nonsense():
        jobs = Jobs(search_path(), allow_code=False)

        async def never():
            return False

        order = {"kind": "nonsense", "run": str(run)}
        lines = [line async for line in jobs.answers(("nonsense",), order, never)]
        jobs.close()
        return lines

    (line,) = asyncio.run(ask_for_nonsense())
    assert "the job failed: ValueError: there is no such job" in json.loads(line)["error"]


INSTANT = (
    "import json, os, pathlib, sys; out = pathlib.Path(json.loads(sys.argv[1])['out']);"
    "(out / 'result.json').write_text(str(os.getpid()))"
)


@pytest.fixture
def instant_work(monkeypatch):
    """Workers that import nothing: what their result is does not matter here."""
    command = [sys.executable, "-c", INSTANT]
    monkeypatch.setattr("frankrl.dashboard.jobs.module_command", lambda module: command)


@pytest.mark.usefixtures("instant_work")
def test_only_the_newest_results_are_kept(run, monkeypatch):
    monkeypatch.setattr("frankrl.dashboard.jobs._KEPT", 1)

    async def ask_much():
        jobs = Jobs(search_path(), allow_code=False)

        async def never():
            return False

        order = {"kind": "diagnostics", "run": str(run)}
        names = []
        for number in range(2):
            lines = [line async for line in jobs.answers((str(number),), order, never)]
            names.append(json.loads(lines[-1])["name"])
        kept = {path.name for path in jobs._place.iterdir()}
        jobs.close()
        return names, kept

    names, kept = asyncio.run(ask_much())
    assert kept == set(names[1:])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux says it in /proc")
def test_work_has_the_lowest_priority(run, tmp_path):
    code = (
        "import os, sys; from frankrl.dashboard.work import __main__ as work; "
        "first = lambda: int(open('/proc/self/oom_score_adj').read()); "
        "work._do = lambda order, out, lines: {'nice': os.nice(0), 'first': first()}; work.main()"
    )
    order = json.dumps({"out": str(tmp_path)})
    with subprocess.Popen([sys.executable, "-c", code, order], stdin=subprocess.PIPE) as work:
        assert work.wait() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["nice"], result["first"]) == (19, 1000)


def work_on(run, kind, **order):
    """The lines of one job."""

    async def ask():
        jobs = Jobs(search_path(), allow_code=False)

        async def never():
            return False

        order_of_it = {"kind": kind, "run": str(run), **order}
        lines = [json.loads(line) async for line in jobs.answers((kind,), order_of_it, never)]
        jobs.close()
        return lines

    return asyncio.run(ask())


def test_what_an_environment_prints_is_not_taken_for_an_answer(tmp_path):
    run = trained_on_frank_easy(tmp_path / "loud", "Loud-v0")
    *_, last = work_on(run, "episode", seed=0)
    assert last["result"]["episode_return"] == sum(last["result"]["rewards"])


def test_a_module_next_to_the_runs_is_not_imported(tmp_path, monkeypatch):
    run = trained_on_frank_easy(tmp_path / "run")
    (tmp_path / "random.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    *_, last = work_on(run, "episode", seed=0)
    assert "result" in last


def test_work_ends_with_the_server_however_that_ends(tmp_path):
    stuck = tmp_path / "stuck"
    kwargs = {"while_there": str(stuck)}
    trained_on_frank_easy(tmp_path / "runs" / "run", "Stuck-v0", env_kwargs=kwargs)
    stuck.touch()
    with contextlib.suppress(AssertionError), serving(tmp_path / "runs") as (port, process):
        run_id = rows(port)[0]["id"]
        with socket.create_connection(("127.0.0.1", port)) as asking:
            asking.sendall(_request(f"/episode/{run_id}?seed=1", port))
            (worker,) = wait_until(lambda: workers_of(process))
            assert is_at_work(worker)
            os.kill(process, signal.SIGKILL)
    wait_until(lambda: not is_at_work(worker))


def is_at_work(process):
    """Whether a worker process is running; a zombie does not count."""
    if not os.path.isdir("/proc/self"):
        pytest.skip("Linux says in /proc which processes there are")
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return b"frankrl.dashboard.work" in file.read()
    except OSError:
        return False


@pytest.mark.usefixtures("instant_work")
def test_a_result_that_nobody_reads_keeps_nobody_waiting(run):
    async def leave_unread():
        jobs = Jobs(search_path(), allow_code=False)

        async def never():
            return False

        order = {"kind": "diagnostics", "run": str(run)}
        slow = jobs.answers(("slow",), order, never)
        while b"result" not in await anext(slow):
            pass
        # The slow one has its result and has not come back for more.
        lines = [line async for line in jobs.answers(("next",), order, never)]
        await slow.aclose()
        jobs.close()
        return json.loads(lines[-1])

    assert "result" in asyncio.run(leave_unread())


@pytest.mark.usefixtures("instant_work")
def test_results_that_somebody_has_tidied_away_are_made_again(run):
    async def tidy():
        jobs = Jobs(search_path(), allow_code=False)

        async def never():
            return False

        order, answers = {"kind": "diagnostics", "run": str(run)}, []
        for _ in range(2):
            lines = [line async for line in jobs.answers(("diagnostics",), order, never)]
            answers.append(json.loads(lines[-1]))
            shutil.rmtree(jobs._place, ignore_errors=True)
        lines = [line async for line in jobs.answers(("diagnostics",), order, never)]
        jobs.close()
        return *answers, json.loads(lines[-1])

    first, gone, again = asyncio.run(tidy())
    assert "ask for it again" in gone["error"]
    # By a worker of its own.
    assert again["result"] != first["result"]
