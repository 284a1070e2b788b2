"""Whole runs whose environments are in actors: every checkpoint and table as in one process."""

import os
import signal
from typing import Any

import pytest
from actors_here import ActorsHere
from long_forms import some_of
from robustness.runs import contents, killed_copy

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import ActorsLostError, FrankWarning, SettingError
from frankrl.experience.remote import processes
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.remote import remote
from frankrl.training.session import run_to_end

QUICK = {
    "num_envs": 5,
    "hidden_widths": (16,),
    "batch_size": 8,
    "learning_starts_env_steps": 60,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 250,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "checkpoint_every_env_steps": 150,
    "keep_checkpoints": 99,
    "total_env_steps": 600,
}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "lander": (
        "LunarLander-v3",
        # The rise of β is the budget of a run unless it is given.
        {"n_step": 3, "replay_sampling": "prioritised", "priority_beta_env_steps": 600},
    ),
    "minatar": ("MinAtar/Breakout-v1", {"frame_stack": 2, "overlap": False}),
    "recurrent": (
        "CartPole-v1",
        {
            "memory": "gru",
            "memory_units": 4,
            "sequence_steps": 8,
            "burn_in_steps": 2,
            "vector_steps_per_round": 3,
        },
    ),
    "failing": (
        "failing_envs:Failing-v0",
        {
            "env_kwargs": {"share": 0.3},
            "restart_failed_envs": 99,
            "vector_steps_per_round": 3,
            "num_envs": 4,
        },
    ),
}


def begun(kind, out, make_source=None, **changes):
    env_id, more = RUNS[kind]
    settings = Settings().with_changes(**QUICK | more | changes)
    return prepare(env_id, "default", settings, 0, out, make_source=make_source)


def trained(training, on_event=lambda event: None):
    return run_to_end(training, on_event).run


@pytest.fixture(scope="module", params=some_of(RUNS, ["lander"]))
def run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    return request.param, trained(begun(request.param, path))


def checkpoints(run):
    """The bytes of all files of arrays in all checkpoints."""
    found = {}
    for path in list_checkpoints(RunFolder.open(run).checkpoints):
        files = [*path.glob("*.safetensors"), *path.glob("*.zst")]
        found |= {(path.name, file.name): file.read_bytes() for file in files}
    return found


def assert_same_runs(ours, theirs):
    one, other = checkpoints(ours), checkpoints(theirs)
    assert len({name for name, _ in other}) > 3
    assert one.keys() == other.keys()
    assert [key for key in one if one[key] != other[key]] == []
    assert contents(ours) == contents(theirs)


def test_every_checkpoint_and_table_is_as_in_one_process(run, tmp_path):
    kind, whole = run
    made = begun(kind, tmp_path / "run", remote(ActorsHere, 4))
    assert_same_runs(trained(made), whole)


def test_actors_die_and_nothing_changes(run, tmp_path):
    kind, whole = run
    requests = iter(range(10_000))
    actors = ActorsHere(lambda _, method, __: method == "collect" and next(requests) % 50 == 31)
    made = begun(kind, tmp_path / "run", remote(lambda: actors, 2))
    assert_same_runs(trained(made), whole)
    assert sum(actor.has_died for actor in actors.started) > 1


def test_a_killed_run_goes_on_with_another_number_of_actors_or_none(run, tmp_path):
    kind, whole = run
    killed = killed_copy(whole, tmp_path / "killed", 300)
    folder = RunFolder.open(killed)
    first = prepare_resume(folder, folder.description.settings, make_source=remote(ActorsHere, 3))
    trained(first)
    assert contents(killed) == contents(whole)
    mixed = trained(begun(kind, tmp_path / "mixed", remote(ActorsHere, 4), total_env_steps=300))
    frankrl.resume(mixed, total_env_steps=600, progress=False)
    assert_same_runs(mixed, whole)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["lander"], indirect=True)
def test_a_killed_process_is_replaced_and_the_command_comes_to_the_same_bits(
    run, tmp_path, monkeypatch
):
    kind, whole = run
    started = []

    class Noted(processes.ProcessActor):
        def __init__(self, plan):
            super().__init__(plan)
            started.append(self)

    monkeypatch.setattr(processes, "ProcessActor", Noted)
    made = begun(kind, tmp_path / "run", remote(processes.ProcessActors, 2))
    killed = []

    def kill(event):
        if event.env_steps >= 200 and not killed:
            killed.append(started[1])
            os.kill(started[1].process.pid, signal.SIGKILL)

    assert_same_runs(trained(made, kill), whole)
    assert len(started) == 3
    assert all(actor.process.poll() is not None for actor in started)


@pytest.mark.slow
def test_where_no_actor_can_be_had_the_run_is_saved_and_says_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    actors = ActorsHere(
        lambda number, method, given: (
            number > 1 or (method == "collect" and given[1].env_steps >= 220)
        )
    )
    made = begun("minatar", out, remote(lambda: actors, 2))
    with pytest.raises(ActorsLostError) as raised:
        trained(made)
    said = "so were 3 in its place: it was ordered to die; the run is saved up to env step 220: "
    assert said in str(raised.value)
    assert f"frankrl.resume({str(out)!r})" in str(raised.value)
    whole = trained(begun("minatar", tmp_path / "whole"))
    frankrl.resume(out, progress=False)
    ours, theirs = checkpoints(out), checkpoints(whole)
    assert [key for key in theirs if ours[key] != theirs[key]] == []


def test_actors_on_another_processor_mark_the_run(tmp_path, monkeypatch):
    from frankrl.experience.remote import actor

    monkeypatch.setattr(actor, "cpu_model", lambda: "Theirs 9000")
    made = begun("minatar", tmp_path / "run", remote(ActorsHere, 2), total_env_steps=100)
    with pytest.warns(FrankWarning, match="because an actor acts on Theirs 9000, and the learner"):
        result = run_to_end(made, lambda event: None)
    (mark,) = result.not_reproducible
    assert mark["env_steps"] == 0
    assert "Theirs 9000" in mark["reason"]


REFUSED = {
    "more actors than environments": ({}, 6, "actors must be from 1 to num_envs (5), because each"),
    "statistics": ({"normalize_rewards": True}, 2, "normalize_rewards cannot be had with actors"),
    "evaluations in training": (
        {"evaluation_on": "training", "num_envs": 1},
        1,
        "evaluation_on training cannot",
    ),
    "a wrapper that is an object": (
        {"wrappers": (lambda env: env,)},
        2,
        "another process can only make what a module defines",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_actors_cannot_do_exactly_is_refused_in_one_sentence(why, tmp_path):
    changes, num_actors, message = REFUSED[why]
    with pytest.raises(SettingError) as raised:
        frankrl.train("CartPole-v1", out=tmp_path / "run", actors=num_actors, **QUICK | changes)
    assert message in str(raised.value)
    assert not (tmp_path / "run").exists()


MIXING = """
import dataclasses

@dataclasses.dataclass(frozen=True)
class Mixing:
    def init(self, key, spec):
        return {"weight": jax.random.normal(key, (4, spec.num_actions))}

    def apply(self, params, observation):
        return (observation - observation.mean(axis=0)) @ params["weight"]

import jax
network = Mixing()
"""


def test_a_network_that_mixes_the_observations_of_a_batch_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mixing.py").write_text(MIXING)
    monkeypatch.syspath_prepend(tmp_path)
    named = {name: value for name, value in QUICK.items() if name != "hidden_widths"}
    given = named | {"network": "mixing:network", "out": tmp_path / "run"}
    with pytest.raises(SettingError, match="your network computes the Q-values of one observation"):
        frankrl.train("CartPole-v1", actors=2, **given)


def test_a_cluster_without_actors_is_refused(tmp_path):
    with pytest.raises(SettingError, match="ray says where the actors of a run are, and there are"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", ray="127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--actors", "0"), "--actors must be a whole number from 1, got 0"),
        (("--actors", "two"), "--actors"),
        (("--actors", "2", "--ray", "here"), "HOST:PORT"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(words, message, tmp_path, capsys):
    pytest.importorskip("ray")
    out = tmp_path / "run"
    arguments = ("train", "CartPole-v1", "--out", str(out), "--num-envs", "2", *words)
    assert frank(arguments) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
