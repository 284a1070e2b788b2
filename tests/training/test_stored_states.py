"""States in the buffer of a checkpoint, as the network gets them."""

from unittest import mock

import jax
import numpy as np
import pytest

import frankrl
from frankrl.opening import open_network, open_states
from frankrl.replay import chunks
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.checkpoint import load_checkpoint
from frankrl.training.replay_codec import REPLAY, replay_from
from frankrl.training.stored_states import some_states

QUICK = {
    "preset": "default",
    "hidden_widths": [8],
    "batch_size": 4,
    "final_evaluation_episodes": None,
    "evaluate_every_env_steps": None,
    "learning_starts_env_steps": 20,
    "overlap": False,
}


def trained(path, env_id="CartPole-v1", **settings):
    """A run whose chunks are small, its newest checkpoint, and its buffer."""
    with mock.patch.object(chunks, "CHUNK_BYTES", 400):
        run = RunFolder.open(frankrl.train(env_id, out=path, **QUICK | settings).run)
        opened = open_network(run)
        loaded = load_checkpoint(list_checkpoints(run.checkpoints)[-1], {REPLAY: 1 << 20})
        experiment = opened.experiment
        whole = replay_from(loaded, experiment, int(opened.info["env_steps"]))
    return run, opened, loaded, whole


def seen_by_the_learner(experiment, whole):
    """The state of every transition that can be sampled, as bytes."""
    first, end = experiment.replay.drawable(int(whole.num_steps))
    env_steps = np.arange(first, end, dtype=np.uint32)
    read = jax.jit(experiment.replay.read)(whole, env_steps).observation
    return [np.asarray(row).tobytes() for row in jax.tree.leaves(read)[0]]


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("stack", [1, 3])
def test_they_are_states_that_the_learner_sees(stack, num_envs, tmp_path):
    settings = {"frame_stack": stack, "num_envs": num_envs, "total_env_steps": 300}
    _, opened, loaded, whole = trained(tmp_path / "run", **settings)
    experiment = opened.experiment
    assert len(loaded.chunks) > 7
    with mock.patch.object(chunks, "CHUNK_BYTES", 400):
        found = some_states(loaded, experiment, 80)
    assert isinstance(found, np.ndarray)
    assert found.shape[1:] == ((stack, 4) if stack > 1 else (4,))
    # A chunk has eight steps, so that few of several environments have two of theirs before them.
    assert (10 if stack > 1 and num_envs > 1 else 40) <= len(found) <= 80
    known = seen_by_the_learner(experiment, whole)
    if stack == 1:
        # Those at which episodes arrived, and the current ones, are no transition's first.
        known += [np.asarray(row).tobytes() for row in whole.observation]
    assert {row.tobytes() for row in found} <= set(known)
    if stack > 1:
        # Zeros stand before the start of an episode.
        zeros = ~found.any(axis=2)
        assert zeros.any() or num_envs > 1
        assert not zeros[:, -1].any()
        assert (np.diff(zeros.astype(int), axis=1) <= 0).all()


def test_without_the_buffer_there_are_none(tmp_path):
    settings = {"frame_stack": 2, "total_env_steps": 60, "checkpoint_replay": "none"}
    path = frankrl.train("CartPole-v1", out=tmp_path / "run", **QUICK | settings).run
    run = RunFolder.open(path)
    assert open_states(run, open_network(run), 50).shape == (0, 2, 4)
