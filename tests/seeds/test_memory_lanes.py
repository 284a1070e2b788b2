"""A network with memory for several seeds as one program, against the same runs alone."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from recall import Recall

import frankrl
from frankrl.config import Settings
from frankrl.core.numerics import own_numerics
from frankrl.environments import describe, named_env
from frankrl.explaining import reopen
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint
from frankrl.training import Experiment, init_train_state
from frankrl.training.device.batch import SeedBatch
from frankrl.training.device.rounds import device_rounds, source_on_device

SEEDS = [4, 1]
SMALL = {
    "memory": "gru",
    "memory_units": 6,
    "sequence_steps": 5,
    "burn_in_steps": 2,
    "replay_sampling": "prioritised",
    "hidden_widths": (8,),
    "num_envs": 2,
    "vector_steps_per_round": 4,
    "replay_ratio": 0.5,
    "learning_starts_env_steps": 64,
    "batch_size": 8,
    "replay_capacity": 160,
    "log_every_env_steps": 64,
    "checkpoint_every_env_steps": 96,
    "final_evaluation_episodes": 2,
    "total_env_steps": 320,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Two runs that were one program."""
    out = tmp_path_factory.mktemp("memory") / "group"
    given = SMALL | {"evaluate_every_env_steps": "none", "preset": "default"}
    return frankrl.train(Recall, seeds=SEEDS, out=out, progress=False, **given)


def kept(run):
    """The rows of metrics of a run, without times, and the arrays of its newest checkpoint."""
    folder = RunFolder.open(run)
    reader = MetricsReader(folder.metrics)
    names = ("episodes", "training", "digests")
    rows = {name: [list(column) for column in reader.columns(name).values()] for name in names}
    reader.close()
    newest = list_checkpoints(folder.checkpoints)[-1]
    files = ("q_network", "optimiser", "replay", "environments")
    loaded = load_checkpoint(newest, dict.fromkeys(files, 1 << 20))
    arrays = {
        (file, name): array.tobytes()
        for file, tensors in loaded.tensors.items()
        for name, array in tensors.items()
    }
    assert ("environments", ".memory") in arrays
    return newest.name, repr(rows), arrays


def test_lanes_with_memory_begin_as_runs_alone_do_within_float32():
    with own_numerics():
        settings = Settings().with_changes(**SMALL, source="device").resolved()
        first = Experiment.of(settings, describe(named_env(Recall)[0], {}), 0)
        experiments = [replace(first, seed=seed) for seed in SEEDS]
        batch = SeedBatch(len(experiments))
        lanes, alone = [], []
        for index, experiment in enumerate(experiments):
            for made, rounds in ((lanes, batch.rounds_of(index)), (alone, device_rounds)):
                source, state = source_on_device(experiment), init_train_state(experiment)
                made.append(rounds(experiment, source, state, lambda at: at + 32))
        for _ in range(5):
            batch.advance()
            for lane, run in zip(lanes, alone, strict=True):
                ours, theirs = next(lane), next(run)
                assert (ours.ticks, ours.updates) == (theirs.ticks, theirs.updates)
                # So early no action has been chosen otherwise.
                assert ours.collected.episodes == theirs.collected.episodes
                pairs = (
                    (ours.state().learner, theirs.state().learner),
                    (ours.state().replay, theirs.state().replay),
                    (ours.output().metrics, theirs.output().metrics),
                )
                for one, other in pairs:
                    for leaf, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
                        np.testing.assert_allclose(leaf, its, rtol=1e-3, atol=1e-5)
        assert ours.updates > 20


def test_an_update_of_a_lane_with_memory_is_opened_to_the_same_bits(group):
    assert reopen(RunFolder.open(group.runs[1]), 40).record.update == 40


def test_a_group_with_memory_that_was_killed_goes_on_to_the_same_bits(group, tmp_path):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    for run in group.runs:
        (copied / run.name / "report.json").unlink()
        newest = list_checkpoints(RunFolder.open(copied / run.name).checkpoints)[-1]
        shutil.rmtree(newest)
    again = frankrl.resume(copied, progress=False)
    assert [each.final_return for each in again.outcomes] == [
        each.final_return for each in group.outcomes
    ]
    for run in group.runs:
        assert kept(copied / run.name) == kept(run)
