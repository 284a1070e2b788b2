"""PQN with several seeds as one program, against the same runs alone."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest

import frankrl
from frankrl.config import Settings
from frankrl.core.numerics import own_numerics
from frankrl.runs import MetricsReader, RunFolder, list_checkpoints, load_checkpoint
from frankrl.training import init_train_state
from frankrl.training.device.batch import SeedBatch
from frankrl.training.device.rounds import device_rounds, source_on_device
from frankrl.training.preflight import lanes_in_memory
from frankrl.training.preparing import checked_experiment

ENV = "frankrl/CartPole-functional-v0"
SEEDS = [4, 1, 9]
SMALL = {
    "algorithm": "pqn",
    "total_env_steps": 480,
    "num_envs": 2,
    "vector_steps_per_round": 8,
    "minibatches": 4,
    "epochs_per_round": 2,
    "hidden_widths": (8,),
    "layer_norm": True,
    "optimiser": "radam",
    "learning_rate": 0.003,
    "log_every_env_steps": 96,
    "checkpoint_every_env_steps": 160,
    "evaluate_every_env_steps": None,
    "final_evaluation_episodes": 2,
    "device": "cpu",
}


def given(**changes):
    """The settings as `frankrl.train` takes them."""
    return {name: "none" if value is None else value for name, value in (SMALL | changes).items()}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Three runs that were one program."""
    out = tmp_path_factory.mktemp("pqn") / "group"
    return frankrl.train(ENV, preset="default", seeds=SEEDS, out=out, progress=False, **given())


def kept(run):
    """The rows of metrics of a run, without times, and the arrays of its newest checkpoint."""
    folder = RunFolder.open(run)
    reader = MetricsReader(folder.metrics)
    names = ("episodes", "training", "digests")
    rows = repr(
        {name: [list(column) for column in reader.columns(name).values()] for name in names}
    )
    reader.close()
    newest = list_checkpoints(folder.checkpoints)[-1]
    loaded = load_checkpoint(newest, {"q_network": 1 << 20, "optimiser": 1 << 20})
    arrays = {
        (file, name): array.tobytes()
        for file, tensors in loaded.tensors.items()
        for name, array in tensors.items()
    }
    return newest.name, rows, arrays


def test_lanes_of_pqn_begin_as_runs_alone_do_within_float32():
    with own_numerics():
        first = checked_experiment(ENV, Settings().with_changes(**SMALL).resolved(), SEEDS[0])
        experiments = [replace(first, seed=seed) for seed in SEEDS]
        batch = SeedBatch(len(experiments))
        lanes, alone = [], []
        for index, experiment in enumerate(experiments):
            for made, rounds in ((lanes, batch.rounds_of(index)), (alone, device_rounds)):
                source, state = source_on_device(experiment), init_train_state(experiment)
                made.append(rounds(experiment, source, state, lambda at: at + 32))
        for _ in range(4):
            batch.advance()
            for lane, run in zip(lanes, alone, strict=True):
                ours, theirs = next(lane), next(run)
                assert (ours.ticks, ours.updates) == (theirs.ticks, theirs.updates)
                assert ours.updates > 0
                # So early no action has been chosen otherwise.
                assert ours.collected.episodes == theirs.collected.episodes
                pairs = (
                    (ours.state().learner, theirs.state().learner),
                    (ours.output().metrics, theirs.output().metrics),
                    (ours.output().sample, theirs.output().sample),
                )
                for one, other in pairs:
                    for leaf, its in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
                        np.testing.assert_allclose(leaf, its, rtol=1e-3, atol=1e-5)


def test_a_group_of_pqn_that_was_killed_goes_on_to_the_same_bits(group, tmp_path):
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


def test_more_lanes_of_a_smaller_round_fit_into_memory(monkeypatch):
    monkeypatch.setattr("frankrl.training.preflight._memory", lambda: 1 << 30)
    settings = Settings().with_changes(**SMALL).resolved()
    small = lanes_in_memory(checked_experiment(ENV, settings, 0))
    wide = settings.with_changes(vector_steps_per_round=4096)
    assert 1 < lanes_in_memory(checked_experiment(ENV, wide, 0)) < small
