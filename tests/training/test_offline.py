"""Runs that learn from a data set, without acting or beside it."""

import dataclasses
import hashlib
import json
import shutil

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import spaces
from long_forms import some_of
from offline_data import SQUARES, every_square, random_episodes, write
from robustness.runs import contents

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import (
    EnvironmentUnusableError,
    FrankWarning,
    MachineError,
    RunFolderError,
    SettingError,
)
from frankrl.datasets import DataEpisode, open_dataset
from frankrl.environments import describe
from frankrl.experience.dataset import DataSource, encoded, whole_episodes
from frankrl.explaining import batch_origins, reopen
from frankrl.opening import open_agent
from frankrl.replay import filled, make_data_replay
from frankrl.runs import (
    MetricsReader,
    RunDescription,
    RunFolder,
    all_versions,
    list_checkpoints,
    machine_facts,
)
from frankrl.runs.checkpoint import manifest_of
from frankrl.runs.group import RunGroup
from frankrl.tabular.exact import model_of, optimal_q_values
from frankrl.training import Estimating, Stop
from frankrl.training.data import in_any_folder, read_data
from frankrl.training.opened import open_network
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.session import run_to_end

pytestmark = pytest.mark.slow

QUICK = {
    "preset": "default",
    "hidden_widths": (8,),
    "batch_size": 8,
    "n_step": 3,
    "final_evaluation_episodes": 2,
    "evaluation_episodes": 1,
    "target_period_updates": 40,
}
OFFLINE = QUICK | {
    "updates_per_round": 10,
    "total_updates": 120,
    "evaluate_every_updates": 60,
    "checkpoint_every_updates": 30,
    "log_every_updates": 20,
    "keep_checkpoints": 10,
}
BESIDE = QUICK | {
    "demonstration_share": 0.25,
    "num_envs": 2,
    "learning_starts_env_steps": 40,
    "total_env_steps": 160,
    "evaluate_every_env_steps": 80,
    "checkpoint_every_env_steps": 40,
    "log_every_env_steps": 40,
    "keep_checkpoints": 10,
}


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return write("cartpole/random-v0", folder, "CartPole-v1", random_episodes("CartPole-v1", 12))


@pytest.fixture(scope="module")
def whole(cartpole, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    frankrl.train(
        "CartPole-v1", dataset=str(cartpole), replay_sampling="prioritised", out=run, **OFFLINE
    )
    return run


@pytest.fixture(scope="module")
def beside(cartpole, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "beside"
    frankrl.train("CartPole-v1", dataset=str(cartpole), out=run, **BESIDE)
    return run


def naive_transitions(episodes, n_step, gamma):
    """Each transition of each episode, by the definition of n-step returns."""
    for episode in episodes:
        steps = len(episode.actions)
        for first in range(steps):
            last = min(first + n_step, steps)
            reward = sum(gamma**k * r for k, r in enumerate(episode.rewards[first:last]))
            ends = last == steps and episode.terminated
            yield (
                episode.observations[first],
                episode.actions[first],
                reward,
                episode.observations[last],
                0.0 if ends else gamma ** (last - first),
            )


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("truncated", [False, True])
def test_a_filled_buffer_gives_the_transitions_of_the_data_set(n_step, truncated, tmp_path):
    episodes = random_episodes("CartPole-v1", 5)
    if truncated:
        cut = [e._replace(terminated=False, truncated=True) for e in episodes[::2]]
        episodes[::2] = cut
    dataset = open_dataset(write("some/data-v0", tmp_path, "CartPole-v1", episodes))
    spec, settings = describe("CartPole-v1", {}), Settings().with_changes(n_step=n_step, gamma=0.9)
    settings = settings.with_changes(dataset="some").resolved()
    buffer = make_data_replay(settings, dataset.num_steps)
    state = filled(buffer, whole_episodes(dataset, spec, settings))
    assert buffer.drawable(dataset.num_steps) == (0, dataset.num_steps)
    found = buffer.read(state, jax.numpy.arange(dataset.num_steps, dtype=np.uint32))
    naive = list(zip(*naive_transitions(episodes, n_step, 0.9), strict=True))
    for ours, theirs in zip(found[:5], naive, strict=True):
        np.testing.assert_allclose(ours, np.array(theirs, np.float32), rtol=1e-6)


def test_a_table_learns_the_exact_q_values_from_every_transition(tmp_path):
    result = frankrl.train(
        SQUARES,
        dataset=str(every_square(tmp_path)),
        preset="default",
        q_function="table",
        batch_size=56,
        optimiser="sgd",
        learning_rate=8.0,
        max_gradient_norm=None,
        gamma=0.9,
        target_period_updates=1,
        total_updates=2_000,
        evaluate_every_updates=None,
        final_evaluation_episodes=20,
        out=tmp_path / "run",
    )
    agent, _ = open_agent(RunFolder.open(tmp_path / "run"))
    found = agent.q_values(np.arange(9))
    exact = optimal_q_values(model_of(describe(SQUARES, {})), 0.9)
    ordinary = [0, 1, 2, 3, 5, 6, 7]
    np.testing.assert_allclose(found[ordinary], exact[ordinary], atol=1e-3)
    assert result.evaluation["mean_return"] > 0.6


@pytest.mark.parametrize("kept", some_of([1, 2, 3], [2]))
def test_a_run_that_was_killed_continues_to_the_same_bits_without_its_data_set(
    kept, whole, tmp_path
):
    """After the checkpoints at the updates 30, 60 and 90, of which the second has an evaluation."""
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    for later in list_checkpoints(killed / "checkpoints")[kept:]:
        shutil.rmtree(later)
    (killed / "report.json").unlink()
    description = killed / "config.toml"
    path = RunFolder.open(whole).description.settings.data.dataset
    assert path in description.read_text()
    description.write_text(description.read_text().replace(path, "/nowhere/data-v0"))
    frankrl.resume(killed)
    description.write_text(description.read_text().replace("/nowhere/data-v0", path))
    assert contents(killed) == contents(whole)


def test_a_run_that_stops_within_a_round_of_events_continues_to_the_same_bits(
    cartpole, whole, tmp_path
):
    settings = RunFolder.open(whole).description.settings
    training = prepare("CartPole-v1", "default", settings, 0, tmp_path / "run")
    events = training.events()
    while training.updates < 70:
        next(events)
    # As a kill would: nothing more is saved.
    training.close()
    again = prepare_resume(RunFolder.open(tmp_path / "run"), settings)
    assert again.updates == 60
    run_to_end(again, lambda event: None)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize("kept", [1, 3])
def test_a_run_beside_demonstrations_continues_to_the_same_bits(kept, beside, tmp_path):
    killed = tmp_path / "killed"
    shutil.copytree(beside, killed)
    for later in list_checkpoints(killed / "checkpoints")[kept:]:
        shutil.rmtree(later)
    (killed / "report.json").unlink()
    frankrl.resume(killed)
    assert contents(killed) == contents(beside)


def test_its_clock_counts_updates_in_every_record(whole, capsys):
    folder = RunFolder.open(whole)
    reader = MetricsReader(folder.metrics)
    training, evaluations = reader.columns("training"), reader.columns("evaluations")
    reader.close()
    assert training["env_steps"].tolist() == training["updates"].tolist() == [*range(20, 121, 20)]
    assert evaluations["env_steps"].tolist() == [60, 120, 120]
    assert [int(path.name) for path in list_checkpoints(folder.checkpoints)] == [30, 60, 90, 120]
    report = json.loads((whole / "report.json").read_text())
    assert (report["clock"], report["env_steps"], report["updates"]) == ("updates", 120, 120)
    assert folder.description.settings.clock == "updates"
    assert frank(["runs", str(whole)]) == 0
    assert "120 of 120 updates" in capsys.readouterr().out
    assert frank(["evaluate", str(whole), "--episodes", "1"]) == 0
    assert "trained for 120 updates" in capsys.readouterr().out


@pytest.mark.parametrize("update", [5, 47, 120])
def test_an_update_is_opened_and_its_transitions_are_those_of_the_data_set(update, whole, cartpole):
    folder = RunFolder.open(whole)
    reopened = reopen(folder, update)
    dataset = open_dataset(cartpole)
    naive = list(naive_transitions(dataset.episodes(), 3, 0.99))
    lengths = [episode.num_steps for episode in dataset.episodes()]
    for row, origin in enumerate(batch_origins(folder, reopened)):
        assert sum(lengths[: origin.episode]) + origin.step - 1 == origin.data_step
        assert 1 <= origin.step <= lengths[origin.episode]
        observation, action, reward, _, _ = naive[origin.data_step]
        np.testing.assert_array_equal(reopened.record.batch.observation[row], observation)
        assert reopened.record.batch.action[row] == action
        assert reopened.record.batch.reward[row] == pytest.approx(reward, rel=1e-6)
    assert repr(reopened.record).startswith(f"Update {update:,}: 8 transitions")


@pytest.mark.parametrize("update", [3, 60, 100])
def test_each_batch_has_exactly_its_share_of_demonstrations(update, beside, cartpole):
    folder = RunFolder.open(beside)
    reopened = reopen(folder, update)
    naive = list(naive_transitions(open_dataset(cartpole).episodes(), 3, 0.99))
    came_from = batch_origins(folder, reopened)
    assert [hasattr(origin, "data_step") for origin in came_from] == [False] * 6 + [True] * 2
    for row, origin in list(enumerate(came_from))[6:]:
        observation, action, *_ = naive[origin.data_step]
        np.testing.assert_array_equal(reopened.record.batch.observation[row], observation)
        assert reopened.record.batch.action[row] == action


def test_demonstrations_stay_while_the_run_s_own_steps_are_overwritten(cartpole, tmp_path):
    frankrl.train(
        "CartPole-v1", dataset=str(cartpole), out=tmp_path / "run", replay_capacity=50, **BESIDE
    )
    settings = RunFolder.open(tmp_path / "run").description.settings
    training = prepare_resume(RunFolder.open(tmp_path / "run"), settings)
    state, experiment = training.state(), training.experiment
    training.close()
    dataset = open_dataset(cartpole)
    given = whole_episodes(dataset, experiment.spec, settings)
    expected = filled(experiment.demonstrations, given)
    for ours, theirs in zip(
        jax.tree.leaves(state.demonstrations), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_statistics_are_those_of_the_whole_data_set(cartpole):
    dataset, spec = open_dataset(cartpole), describe("CartPole-v1", {})
    settings = Settings().with_changes(
        normalize_observations=True, normalize_rewards=True, dataset=str(cartpole), gamma=0.9
    )
    source = DataSource(settings, spec, dataset.digest, whole_episodes(dataset, spec, settings))
    statistics, _ = source.statistics()
    seen = np.concatenate([e.observations[:-1] for e in dataset.episodes()]).astype(np.float64)
    returns = []
    for episode in dataset.episodes():
        total = 0.0
        for reward in episode.rewards:
            total = 0.9 * total + reward
            returns.append(total)
    (moments,) = statistics.observation
    np.testing.assert_allclose(moments.mean, seen.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moments.variance, seen.var(axis=0), rtol=1e-4)
    np.testing.assert_allclose(statistics.discounted_return.variance, np.var(returns), rtol=1e-4)


@pytest.mark.slow
def test_a_network_with_memory_learns_from_sequences_of_the_data_and_continues_exactly(
    cartpole, tmp_path
):
    changes = {"memory": "gru", "memory_units": 4, "sequence_steps": 8, "burn_in_steps": 2}
    run, killed = tmp_path / "run", tmp_path / "killed"
    frankrl.train("CartPole-v1", dataset=str(cartpole), out=run, **(OFFLINE | changes))
    shutil.copytree(run, killed)
    for later in list_checkpoints(killed / "checkpoints")[2:]:
        shutil.rmtree(later)
    (killed / "report.json").unlink()
    frankrl.resume(killed)
    assert contents(killed) == contents(run)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the updates of this round")
def test_with_memory_whole_sequences_of_a_batch_are_demonstrations(cartpole, tmp_path):
    changes = {"memory": "gru", "memory_units": 4, "sequence_steps": 8, "burn_in_steps": 2}
    run = tmp_path / "run"
    frankrl.train("CartPole-v1", dataset=str(cartpole), out=run, **(BESIDE | changes))
    reopened = reopen(RunFolder.open(run), 60)
    sequence = reopened.record.sequences.sequence
    came_from = batch_origins(RunFolder.open(run), reopened)
    assert [hasattr(each, "data_step") for each in came_from] == (sequence >= 6).tolist()
    seen = np.concatenate([e.observations[:-1] for e in open_dataset(cartpole).episodes()])
    for row, origin in enumerate(came_from):
        if sequence[row] >= 6:
            observation = reopened.record.batch.observation[row]
            np.testing.assert_array_equal(observation, seen[origin.data_step])


ALONE = {name: value for name, value in OFFLINE.items() if "evaluat" not in name} | {
    "final_estimate_updates": 500
}


@pytest.mark.slow
def test_a_run_without_an_environment_is_estimated_from_its_data(cartpole, tmp_path):
    run, seen = tmp_path / "run", []

    def on_event(event):
        if isinstance(event, Estimating):
            report = json.loads((run / "report.json").read_text())
            seen.append((event.done, event.of, report["estimate"]))

    result = frankrl.train(None, dataset=str(cartpole), out=run, on_event=on_event, **ALONE)
    assert result.evaluation is None
    assert result.estimate["estimated_by"] == "fitted Q evaluation"
    assert result.estimate["updates"] == 500
    assert json.loads((run / "report.json").read_text())["estimate"] == result.estimate
    # The report is there before the estimate begins.
    assert seen == [(done, 500, None) for done in range(50, 501, 50)]
    description = RunFolder.open(tmp_path / "run").description
    assert description.env_id == "data set cartpole/random-v0"
    reopened = reopen(RunFolder.open(tmp_path / "run"), 40)
    assert reopened.record.batch.observation.shape == (8, 4)
    with pytest.warns(FrankWarning, match="does not name its data set"):
        again = frankrl.resume(tmp_path / "run", total_updates=130)
    assert (again.updates, again.estimate) == (130, None)
    again = frankrl.resume(tmp_path / "run", total_updates=140, dataset=str(cartpole))
    assert again.estimate["updates"] == 500
    with pytest.raises(EnvironmentUnusableError, match="no environment was named") as refusal:
        frankrl.evaluate(tmp_path / "run", episodes=1)
    assert "evaluation_on" not in str(refusal.value)


ALONE_SETTINGS = {name: value for name, value in ALONE.items() if name != "preset"}


@pytest.mark.parametrize("by", ["signal", "on_event"])
def test_an_estimate_that_is_stopped_leaves_the_report_of_its_run(by, cartpole, tmp_path):
    chosen = {name: value for name, value in ALONE.items() if name != "preset"}
    settings = Settings().with_changes(dataset=str(cartpole), **chosen)
    training = prepare("", "default", settings, 0, tmp_path / "run")
    seen = []

    def on_event(event):
        seen.extend([event.done] if isinstance(event, Estimating) else [])
        return Stop("enough") if by == "on_event" and len(seen) == 2 else None

    def stop_requested():
        return by == "signal" and len(seen) == 2

    with pytest.warns(FrankWarning, match="it was stopped after 100 updates"):
        result = run_to_end(training, on_event, stop_requested)
    assert (seen, result.updates, result.stopped, result.estimate) == ([50, 100], 120, False, None)
    assert not json.loads((tmp_path / "run" / "report.json").read_text())["stopped"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--until-solved"], "without an environment nothing is played"),
        (["--evaluate-every-updates", "50"], "--evaluate-every-updates is for evaluations"),
        (["--final-evaluation-episodes", "5"], "without an environment nothing is played"),
    ],
)
def test_evaluations_without_an_environment_are_refused(
    words, sentence, cartpole, tmp_path, capsys
):
    words = ["--dataset", str(cartpole), "--out", str(tmp_path / "run"), *words]
    assert frank(["train", *words]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
    with pytest.raises(SettingError, match="evaluation_episodes is for evaluations"):
        frankrl.train(None, dataset=str(cartpole), out=tmp_path / "run", evaluation_episodes=3)


@pytest.mark.parametrize(("budget", "end"), [(20, None), (21, "30")])
def test_a_budget_that_ends_within_a_round_says_where_the_run_ends(budget, end, cartpole, tmp_path):
    chosen = ALONE_SETTINGS | {"total_updates": budget}
    settings = Settings().with_changes(dataset=str(cartpole), **chosen)
    training = prepare("", "default", settings, 0, tmp_path / "run")
    training.close()
    said = [note for note in training.notes if "it ends after" in note]
    assert len(said) == (end is not None)
    assert all(f"it ends after {end} updates: updates_per_round, 10," in note for note in said)


def test_a_memory_without_an_environment_says_at_once_that_it_has_no_estimate(cartpole, tmp_path):
    chosen = {name: value for name, value in ALONE.items() if name not in ("preset", "n_step")}
    chosen |= {"memory": "gru", "memory_units": 4, "sequence_steps": 6, "burn_in_steps": 2}
    settings = Settings().with_changes(dataset=str(cartpole), **chosen)
    training = prepare("", "default", settings, 0, tmp_path / "run")
    training.close()
    assert "a network with memory is not estimated from data" in training.notes[-1]


def test_what_cannot_be_played_is_said_without_advice_on_environments(cartpole, tmp_path):
    chosen = ALONE | {"final_estimate_updates": None}
    frankrl.train(None, dataset=str(cartpole), out=tmp_path / "run", **chosen)
    with pytest.raises(EnvironmentUnusableError) as refused:
        frankrl.evaluate(tmp_path / "run", episodes=1)
    assert "evaluation_on" not in str(refused.value)


def test_a_run_that_continues_names_only_what_was_given(whole):
    with pytest.raises(SettingError, match=r"here algorithm dqn \(given bc\): only"):
        frankrl.resume(whole, algorithm="bc")


def test_no_estimate_is_made_where_none_is_wanted(cartpole, tmp_path):
    chosen = ALONE | {"final_estimate_updates": None}
    result = frankrl.train(None, dataset=str(cartpole), out=tmp_path / "run", **chosen)
    assert result.estimate is None


def test_a_checkpoint_without_the_data_is_refused(whole, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for checkpoint in list_checkpoints(run / "checkpoints"):
        info = json.loads((checkpoint / "state.json").read_text()) | {"holds_replay": False}
        content = json.dumps(info).encode()
        (checkpoint / "state.json").write_bytes(content)
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        for name in [name for name in manifest["files"] if name.startswith("replay")]:
            del manifest["files"][name]
            (checkpoint / name).unlink()
        manifest["files"]["state.json"] = {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        (checkpoint / "manifest.json").write_bytes(manifest_of(manifest["files"]))
    with pytest.raises(RunFolderError, match="does not hold the data that the run learns from"):
        frankrl.resume(run, total_updates=130)


def test_only_a_run_that_does_not_act_can_do_without_an_environment(cartpole, tmp_path):
    with pytest.raises(SettingError, match="name an environment, such as"):
        frankrl.train(None, dataset=str(cartpole), out=tmp_path / "run", **BESIDE)
    with pytest.raises(SettingError, match="wrappers changes an environment"):
        frankrl.train(
            None, dataset=str(cartpole), wrappers="gymnasium.wrappers:TimeAwareObservation"
        )


def small(space):
    """One episode of two steps in a space."""
    from frankrl.datasets import DataEpisode

    seen = np.stack([np.zeros(space.shape, space.dtype)] * 3)
    return [DataEpisode(seen, np.zeros(2, np.int64), np.zeros(2), True, False)]


BOX = spaces.Box(-1, 1, (3,), np.float32)


@pytest.mark.parametrize(
    ("others", "env_id", "sentence"),
    [
        ({"observation_space": BOX}, "CartPole-v1", "has the observation space Box"),
        ({"action_space": spaces.Discrete(3)}, "CartPole-v1", "has the action space Discrete(3)"),
        ({"action_space": spaces.Discrete(2, start=1)}, "CartPole-v1", "has the action space"),
    ],
)
def test_a_data_set_that_does_not_fit_is_one_sentence(others, env_id, sentence, tmp_path):
    space = others.get("observation_space", gymnasium.make(env_id).observation_space)
    first = int(getattr(others.get("action_space"), "start", 0))
    episodes = [e._replace(actions=e.actions + first) for e in small(space)]
    path = write("other/data-v0", tmp_path, env_id, episodes, **others)
    with pytest.raises(SettingError) as refused:
        frankrl.train(env_id, dataset=str(path), out=tmp_path / "run", **OFFLINE)
    assert sentence in str(refused.value)
    assert "and CartPole-v1 has" in str(refused.value)
    assert "name another data set, or the environment (or a run in it)" in str(refused.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dataset": "x", "num_envs": 4}, "num_envs (4) changes nothing because dataset is x"),
        (
            {"dataset": "x", "total_env_steps": 9},
            "demonstration_share is 0: give total_updates in its place, or leave total_env_steps",
        ),
        ({"total_updates": 9}, "total_updates (9) changes nothing because dataset is none"),
        ({"log_every_updates": 9}, "dataset is none: give log_every_env_steps in its place, or"),
        ({"demonstration_share": 0.5}, "demonstration_share (0.5) changes nothing because"),
        ({"dataset": "x", "demonstration_share": 1.5}, "demonstration_share must be at most 1"),
        (
            {"dataset": "x", "demonstration_share": 0.3},
            "set it to 0.296875, which is 19 of them",
        ),
        ({"dataset": "x", "demonstration_share": 1}, "set it to 0.984375"),
        ({"dataset": "x", "algorithm": "pqn"}, "pqn learns from the steps of its own round"),
        ({"dataset": "x", "replay_sampling": "newest"}, "there are no newest ones"),
        ({"dataset": "x", "evaluation_on": "training"}, "has no training environment"),
        (
            {"dataset": "x", "demonstration_share": 0.5, "checkpoint_replay": "none"},
            "a checkpoint holds the data",
        ),
    ],
)
def test_settings_that_contradict_a_data_set_are_one_sentence(changes, sentence):
    with pytest.raises(SettingError) as refused:
        Settings().with_changes(**changes)
    assert sentence in str(refused.value)


def test_actors_have_nothing_to_step_in_a_run_that_does_not_act(cartpole, tmp_path):
    with pytest.raises(SettingError, match="no environments for actors to step"):
        frankrl.train(
            "CartPole-v1", dataset=str(cartpole), actors=1, out=tmp_path / "run", **OFFLINE
        )


def test_a_data_set_beside_a_run_that_continues_must_be_its_own(whole, cartpole, tmp_path, capsys):
    run, same = tmp_path / "run", tmp_path / "same"
    shutil.copytree(whole, run)
    shutil.copytree(cartpole, same)
    other = write("other/data-v0", tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 3, 1))
    more = ["--total-updates", "130"]
    assert frank(["train", "--resume", str(run), "--dataset", str(other), *more]) == 2
    assert "holds other data" in capsys.readouterr().err
    assert frank(["train", "--resume", str(run), "--dataset", str(same), *more]) == 0
    capsys.readouterr()
    assert frank(["train", "--resume", str(run), "--demonstration-share", "0.5"]) == 2
    assert "keeps its settings" in capsys.readouterr().err


def test_other_data_of_the_same_name_are_refused_beside_a_run_that_continues(tmp_path, capsys):
    run, name = tmp_path / "run", "some/data-v0"
    data = write(name, tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 3))
    frankrl.train("CartPole-v1", dataset=str(data), out=run, **OFFLINE)
    shutil.rmtree(data)
    assert write(name, tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 3, 1)) == data
    words = ["train", "--resume", str(run), "--total-updates", "130"]
    assert frank([*words, "--dataset", str(data)]) == 2
    assert "holds other data" in capsys.readouterr().err
    with pytest.raises(SettingError, match="holds other data"):
        frankrl.resume(run, total_updates=130, dataset=str(data))
    # Its checkpoints hold the data, so it goes on where nobody names them.
    assert frankrl.resume(run, total_updates=130).updates == 130


def test_the_runs_of_several_seeds_learn_from_the_same_data(tmp_path):
    data = write("some/data-v0", tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 3))
    settings = Settings().with_changes(dataset=str(data), **ALONE_SETTINGS).resolved()
    settings = settings.with_changes(evaluate_every_updates=None, final_evaluation_episodes=None)
    description = RunDescription(
        "CartPole-v1", "default", 0, settings, all_versions(settings), machine_facts()
    )
    group = RunGroup.create(tmp_path / "group", description, (0, 1))
    first = prepare("CartPole-v1", "default", settings, 0, group.path_of(0))
    run_to_end(first, lambda event: None)
    shutil.rmtree(data)
    write("some/data-v0", tmp_path, "CartPole-v1", random_episodes("CartPole-v1", 3, 1))
    with pytest.raises(SettingError, match="differ in nothing but their seeds"):
        prepare("CartPole-v1", "default", settings, 1, group.path_of(1))
    assert not group.path_of(1).exists()


def test_a_data_set_below_the_working_folder_is_named_from_the_root_on(tmp_path, monkeypatch):
    (tmp_path / "some").mkdir()
    monkeypatch.chdir(tmp_path)
    assert in_any_folder("some") == str(tmp_path / "some")
    assert in_any_folder("lander/medium-v0") == "lander/medium-v0"


def test_data_that_change_between_two_readings_are_refused(tmp_path):
    name = "some/data-v0"
    first, second = (random_episodes("CartPole-v1", 3, seed) for seed in (0, 0))
    data = write(name, tmp_path, "CartPole-v1", first)
    dataset, settings = open_dataset(data), Settings().with_changes(dataset=str(data))
    whole_episodes(dataset, describe("CartPole-v1", {}), settings)
    second[1].observations[0, 0] += 0.5
    shutil.rmtree(data)
    write(name, tmp_path, "CartPole-v1", second)
    with pytest.raises(SettingError, match="has changed while it was read"):
        whole_episodes(dataset, describe("CartPole-v1", {}), settings)


def test_a_reward_beyond_32_bits_is_refused():
    whole = DataEpisode(np.array([0, 1]), np.array([2]), np.array([1e300]), True, False, None, None)
    with pytest.raises(SettingError, match="a reward beyond 32-bit numbers in its episode 4"):
        encoded(whole, describe(SQUARES, {}), 4)


@pytest.mark.parametrize("step", [0, 2])
def test_an_action_that_its_mask_forbids_is_refused(step):
    spec = describe(SQUARES, {})
    masks = np.ones((4, 4), np.int8)
    masks[step, 3] = 0
    spec = dataclasses.replace(spec, masks_from="method")
    whole = DataEpisode(
        np.array([0, 1, 2, 5]), np.full(3, 3), np.zeros(3), True, False, masks, None
    )
    with pytest.raises(SettingError, match=f"action 3 in step {step} of its episode 7, where"):
        encoded(whole, spec, 7)
    masks[step], masks[3] = 1, 0  # Nothing need be allowed where an episode has ended.
    assert not encoded(whole, spec).mask[3].any()


def test_data_that_do_not_fit_into_memory_are_refused_wherever_they_are_read(
    whole, cartpole, monkeypatch
):
    monkeypatch.setattr("frankrl.training.memory._memory_of_replay", lambda experiment: 10_000)
    read = []
    monkeypatch.setattr("frankrl.training.data.whole_episodes", lambda *given: read.append(given))
    experiment = open_network(RunFolder.open(whole)).experiment
    with pytest.raises(MachineError, match="there twice while it is read"):
        read_data(open_dataset(cartpole), experiment)
    assert not read
