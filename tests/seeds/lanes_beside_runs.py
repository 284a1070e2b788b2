"""Runs of several seeds that are one program: beside the same runs alone, and killed."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import frankrl
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint
from frankrl.training import Experiment, init_train_state
from frankrl.training.device.batch import SeedBatch
from frankrl.training.device.rounds import device_rounds, source_on_device

_FILES = ("q_network", "optimiser", "environments")
_FILES_OF_DQN = ("target_network", "replay")
_OPTIONAL = ("best_network", "collection")


def assert_lanes_begin_as_runs_alone(
    first: Experiment, seeds: list[int], num_rounds: int, parts: Any, rtol: float = 1e-3
) -> list[int]:
    """The rounds of lanes are those of runs alone within float32.

    Args:
        first: the experiment of any of the seeds.
        seeds: of the runs.
        num_rounds: so few that no action is chosen otherwise.
        parts: of a round, what is compared.
        rtol: largest relative difference.

    Returns:
        The updates of a run after each round.
    """
    batch = SeedBatch(len(seeds))
    lanes, alone, updates = [], [], [0] * num_rounds
    for index, seed in enumerate(seeds):
        experiment = replace(first, seed=seed)
        for made, rounds in ((lanes, batch.rounds_of(index)), (alone, device_rounds)):
            source, state = source_on_device(experiment), init_train_state(experiment)
            made.append(rounds(experiment, source, state, lambda at: at + 32))
    for number in range(num_rounds):
        batch.advance()
        for lane, run in zip(lanes, alone, strict=True):
            ours, theirs = next(lane), next(run)
            assert (ours.ticks, ours.updates) == (theirs.ticks, theirs.updates)
            assert ours.collected.episodes == theirs.collected.episodes
            for one, other in zip(
                jax.tree.leaves(parts(ours)), jax.tree.leaves(parts(theirs)), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-5)
            updates[number] = ours.updates
    return updates


def tables(run: Path) -> dict[str, list[tuple]]:
    """The metrics of a run, but for the times of the clock."""
    reader = MetricsReader(RunFolder.open(run).metrics)
    names = ("episodes", "training", "evaluations", "digests", "not_reproducible")
    found = {
        name: list(map(tuple, zip(*reader.columns(name).values(), strict=True))) for name in names
    }
    reader.close()
    return found


def weights(run: Path) -> tuple[str, dict[tuple[str, str], np.ndarray]]:
    """The name of a run's newest checkpoint, and its arrays by file and name."""
    folder = RunFolder.open(run)
    newest = list_checkpoints(folder.checkpoints)[-1]
    # PQN has neither a buffer nor a frozen copy; any other run's checkpoint is wrong without them.
    is_pqn = folder.description.settings.learning.algorithm == "pqn"
    expected = _FILES if is_pqn else _FILES + _FILES_OF_DQN
    sizes = dict.fromkeys(expected + _OPTIONAL, 1 << 24)
    loaded = load_checkpoint(newest, sizes, optional=_OPTIONAL)
    return newest.name, {
        (file, name): array
        for file, arrays in loaded.tensors.items()
        for name, array in arrays.items()
    }


def assert_same(one: Path, other: Path) -> None:
    """Two runs have the same bits."""
    assert repr(tables(one)) == repr(tables(other))
    (name, ours), (their_name, theirs) = weights(one), weights(other)
    assert name == their_name
    assert ours.keys() == theirs.keys()
    for key, array in ours.items():
        np.testing.assert_array_equal(array, theirs[key], err_msg=str(key))


def killed(group: Any, path: Path, runs_with_newer: int) -> Path:
    """A copy of a group as a process leaves it that is killed while it writes checkpoints.

    Args:
        group: the result of its training.
        path: of the copy.
        runs_with_newer: so many runs lack their last checkpoint alone, the others the last two.
    """
    copied = shutil.copytree(group.path, path)
    for number, run in enumerate(group.runs):
        here = copied / run.name
        (here / "report.json").unlink()
        there = list_checkpoints(RunFolder.open(here).checkpoints)
        gone = there[-1:] if number < runs_with_newer else there[-2:]
        for checkpoint in gone:
            shutil.rmtree(checkpoint)
    return copied


def assert_goes_on_to_the_same_bits(group: Any, path: Path) -> None:
    """A copy of a group, killed after its last checkpoints, is continued to the same results."""
    copied = killed(group, path, len(group.runs))
    again = frankrl.resume(copied, progress=False)
    assert [each.final_return for each in again.outcomes] == [
        each.final_return for each in group.outcomes
    ]
    for run in group.runs:
        assert_same(run, copied / run.name)
