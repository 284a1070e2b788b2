"""Several seeds as one program, against the same runs alone."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

import frankrl
from frankrl.core.errors import SettingError
from frankrl.core.numerics import own_numerics
from frankrl.core.score import score
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint
from frankrl.seeds import train as seeds_train
from frankrl.seeds.lanes import common_env_steps
from frankrl.training import init_train_state
from frankrl.training.device.batch import SeedBatch
from frankrl.training.device.rounds import device_rounds, source_on_device
from frankrl.training.session import checked_experiment

ENV = "frankrl/CartPole-functional-v0"
SHORT = {
    "total_env_steps": 640,
    "learning_starts_env_steps": 64,
    "hidden_widths": [8],
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "replay_ratio": 0.5,
    "batch_size": 16,
    "replay_capacity": 400,
    "log_every_env_steps": 64,
    "evaluate_every_env_steps": 320,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "checkpoint_every_env_steps": 160,
    "device": "cpu",
    "preset": "default",
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Three runs that were one program."""
    out = tmp_path_factory.mktemp("lanes") / "group"
    return frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)


def tables(run):
    """The metrics of a run, but for the times of the clock."""
    reader = MetricsReader(RunFolder.open(run).metrics)
    names = ("episodes", "training", "evaluations", "digests", "not_reproducible")
    found = {
        name: list(map(tuple, zip(*reader.columns(name).values(), strict=True))) for name in names
    }
    reader.close()
    return found


def weights(run):
    """All arrays of a run's newest checkpoint."""
    newest = list_checkpoints(RunFolder.open(run).checkpoints)[-1]
    names = (
        "q_network",
        "target_network",
        "optimiser",
        "collection",
        "environments",
        "best_network",
    )
    loaded = load_checkpoint(newest, dict.fromkeys(names, 1 << 24))
    return newest.name, {
        (file, name): array
        for file, arrays in loaded.tensors.items()
        for name, array in arrays.items()
    }


def assert_same(one, other):
    """Two runs have the same bits."""
    assert repr(tables(one)) == repr(tables(other))
    (name, ours), (their_name, theirs) = weights(one), weights(other)
    assert name == their_name
    assert ours.keys() == theirs.keys()
    for key, array in ours.items():
        np.testing.assert_array_equal(array, theirs[key], err_msg=str(key))


def test_lanes_begin_as_runs_alone_do_within_float32():
    with own_numerics():
        settings = frankrl.Settings().with_changes(
            **{name: value for name, value in SHORT.items() if name != "preset"}
        )
        first = checked_experiment(ENV, settings.resolved(), 0)
        experiments = [replace(first, seed=seed) for seed in (0, 1, 7)]
        batch = SeedBatch(len(experiments))
        lanes, alone = [], []
        for index, experiment in enumerate(experiments):
            for made, rounds in ((lanes, batch.rounds_of(index)), (alone, device_rounds)):
                source, state = source_on_device(experiment), init_train_state(experiment)
                made.append(rounds(experiment, source, state, lambda at: at + 32))
        for number in range(6):
            batch.advance()
            for lane, run in zip(lanes, alone, strict=True):
                ours, theirs = next(lane), next(run)
                assert (ours.env_steps, ours.updates) == (theirs.env_steps, theirs.updates)
                # So early no action has been chosen otherwise.
                assert ours.collected.episodes == theirs.collected.episodes
                pairs = (
                    (ours.state().learner, theirs.state().learner),
                    (ours.state().replay, theirs.state().replay),
                    (ours.output().metrics, theirs.output().metrics),
                    (ours.output().td_errors, theirs.output().td_errors),
                )
                for one, other in pairs:
                    for leaf, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
                        np.testing.assert_allclose(leaf, its, rtol=1e-4, atol=1e-5)
            assert number < 2 or ours.updates > 0


def test_every_run_of_a_group_is_an_ordinary_run(group, tmp_path):
    assert group.seeds == (3, 8, 5)
    assert [run.name for run in group.runs] == ["s3", "s8", "s5"]
    assert group.final == score(np.array([each.final_return for each in group.outcomes]))
    for seed, run in zip(group.seeds, group.runs, strict=True):
        description = RunFolder.open(run).description
        assert (description.seed, description.batched_with) == (seed, (3, 8, 5))
        assert description.settings.environment.source == "device"
        again = frankrl.evaluate(run, episodes=3, seed=seed, progress=False)
        assert again.mean_return == group.outcomes[group.seeds.index(seed)].final_return
        found = tables(run)
        assert [row[0] for row in found["training"]] == list(range(64, 641, 64))
        assert sum(row[-1] for row in found["episodes"]) <= SHORT["total_env_steps"]


def test_the_same_command_gives_the_same_bits(group, tmp_path):
    again = frankrl.train(ENV, seeds=[3, 8, 5], out=tmp_path / "again", progress=False, **SHORT)
    for one, other in zip(group.runs, again.runs, strict=True):
        assert_same(one, other)


def killed(group, path, runs_with_newer):
    """A copy of a group as a process leaves it that is killed while it writes checkpoints."""
    copied = shutil.copytree(group.path, path)
    for number, run in enumerate(group.runs):
        here = copied / run.name
        (here / "report.json").unlink()
        there = list_checkpoints(RunFolder.open(here).checkpoints)
        gone = there[-1:] if number < runs_with_newer else there[-2:]
        for checkpoint in gone:
            shutil.rmtree(checkpoint)
    return copied


@pytest.mark.parametrize("runs_with_newer", [0, 1, 2])
def test_a_group_that_was_killed_goes_on_to_the_same_bits(group, tmp_path, runs_with_newer):
    copied = killed(group, tmp_path / "copy", runs_with_newer)
    runs = [copied / run.name for run in group.runs]
    assert common_env_steps(runs) == 320
    again = frankrl.resume(copied, progress=False)
    assert [each.final_return for each in again.outcomes] == [
        each.final_return for each in group.outcomes
    ]
    for one, other in zip(group.runs, runs, strict=True):
        assert_same(one, other)


def test_a_run_that_is_over_keeps_its_lane_when_the_others_go_on(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 0)
    shutil.rmtree(copied / "s8")
    shutil.copytree(group.path / "s8", copied / "s8")
    frankrl.resume(copied, progress=False)
    for run in group.runs:
        assert_same(run, copied / run.name)


def test_a_run_that_is_solved_ends_there_and_the_others_go_on(tmp_path):
    easy = SHORT | {"total_env_steps": 320, "evaluate_every_env_steps": 160}
    out = tmp_path / "easy"
    kwargs = {"until_solved": True, "final_evaluation_episodes": 1, "evaluation_episodes": 1}
    result = frankrl.train(
        "frankrl/NineSquares-functional-v0",
        seeds=range(4),
        out=out,
        progress=False,
        **easy | kwargs,
    )
    ends = {each.env_steps for each in result.outcomes}
    assert ends <= {160, 320}
    for outcome in result.outcomes:
        assert (outcome.solved_env_steps is not None) == (outcome.env_steps == 160) or (
            outcome.env_steps == 320
        )


def test_a_stop_ends_all_runs_at_the_same_env_step_and_resuming_gives_the_same_bits(
    group, tmp_path, monkeypatch
):
    asked = 0

    def stops():
        nonlocal asked
        asked += 1
        return asked > 6

    stops.exit_status = 130

    class Signals:
        def __enter__(self):
            return stops

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(seeds_train, "stop_signals", Signals)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt, match=r"every run is saved, and frankrl\.resume"):
        frankrl.train(ENV, seeds=[3, 8, 5], out=out, progress=False, **SHORT)
    newest = [list_checkpoints(out / run.name / "checkpoints")[-1] for run in group.runs]
    at = {checkpoint.name for checkpoint in newest}
    assert len(at) == 1
    assert 0 < int(at.pop()) < SHORT["total_env_steps"]
    monkeypatch.undo()
    frankrl.resume(out, progress=False)
    for run in group.runs:
        assert_same(run, out / run.name)


def test_seeds_that_do_not_fit_into_memory_together_are_several_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(seeds_train, "lanes_in_memory", lambda experiment: 2)
    short = SHORT | {"total_env_steps": 160, "final_evaluation_episodes": "none"}
    result = frankrl.train(ENV, seeds=range(3), out=tmp_path / "out", progress=False, **short)
    programs = [RunFolder.open(run).description.batched_with for run in result.runs]
    assert programs == [(0, 1), (0, 1), (2,)]


def test_a_run_of_a_group_goes_on_alone_with_a_mark(group, tmp_path):
    copied = killed(group, tmp_path / "copy", 0)
    with pytest.warns(match="it was one program with the runs of other seeds"):
        result = frankrl.resume(copied / "s3", progress=False)
    (mark,) = result.not_reproducible
    assert mark["env_steps"] == 320


def test_trackers_are_refused(tmp_path):
    with pytest.raises(SettingError, match="have no trackers: leave log out"):
        frankrl.train(ENV, seeds=range(2), out=tmp_path / "out", log=["tensorboard"], **SHORT)
    assert not (tmp_path / "out").exists()


def test_an_update_of_a_run_in_a_lane_is_opened_to_the_same_bits(group):
    # Everything that the run recorded is compared on the way; a difference would be an error.
    record = frankrl.explain(group.runs[1], update=70, progress=False)
    assert record.update == 70
