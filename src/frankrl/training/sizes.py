"""How large a run is: its buffers, its updates, its checkpoints."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from frankrl.core.figures import counted
from frankrl.core.sequences import Sequences
from frankrl.core.types import ACTION_DTYPE, Transition
from frankrl.environments import FrameStack, picture_axes
from frankrl.learning import init_learner, update
from frankrl.networks import FeedForwardNetwork
from frankrl.replay import chunk_size, step_shapes
from frankrl.training.noise import noise_shapes
from frankrl.training.state import Experiment
from frankrl.training.update_time import updates_in_round

_LARGEST_COMPRESSED = 0.1
"""Share of their size to which pictures are taken to shrink in chunks; screens of Atari games
shrink to 0.005 of it."""

COPIES = 8
"""Roughly: both networks, their average, the gradient, Adam's moments, and temporary arrays."""


def memory_line(experiment: Experiment) -> str:
    """The memory of the replay buffer, in words; of PQN what it keeps instead."""
    if experiment.buffer is None:
        kept = counted(experiment.settings.round_ticks, "env step")
        return f"no replay buffer: the {kept} of a round are learned from and dropped"
    each, held = bytes_each(experiment), experiment.replay.most_transitions
    size = in_bytes(each * held)
    line = f"replay buffer: {counted(held, 'transition')} × {counted(each, 'byte')} = {size}"
    if held < experiment.replay.capacity:
        capacity = experiment.replay.capacity
        line += f" (total_env_steps fill no more of a replay_capacity of {capacity:,})"
    if experiment.demonstrations is not None:
        held = experiment.demonstrations.capacity
        other = data_bytes(experiment)
        line += f", and {counted(held, 'transition')} of the data set = {in_bytes(other)}"
    return line


def bytes_each(experiment: Experiment) -> int:
    """Memory of the buffer per transition that it can come to hold. [bytes]"""
    leaves = jax.tree.leaves(jax.eval_shape(experiment.empty_replay))
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
    return -(-whole // experiment.replay.most_transitions)


def buffer_bytes(experiment: Experiment) -> int:
    """Memory of the replay buffer; 0 without one. [bytes]"""
    if experiment.buffer is None:
        return 0
    return bytes_each(experiment) * experiment.replay.most_transitions


def data_bytes(experiment: Experiment) -> int:
    """Memory of a data set beside the run's own buffer; 0 without one. [bytes]"""
    if experiment.demonstrations is None:
        return 0
    return sum(_bytes(leaf) for leaf in jax.tree.leaves(jax.eval_shape(experiment.empty_data)))


def bytes_in_round(experiment: Experiment) -> int:
    """Memory of the transitions that the updates of a round learn from. [bytes]"""
    settings, batch = experiment.settings, jax.tree.leaves(_batch_shapes(experiment))
    size = settings.update_batch_size
    each = -(-sum(leaf.size * leaf.dtype.itemsize for leaf in batch) // size)
    if experiment.buffer is None:
        # The steps of the round, and a minibatch of them.
        return each * (settings.round_ticks + size)
    return each * size * (math.ceil(updates_in_round(settings)) + 1)


def bytes_on_disk(experiment: Experiment, transitions: int, checkpoints: int) -> int:
    """Size of the replay buffers in so many successive checkpoints. [bytes]"""
    settings, shapes = experiment.settings, jax.eval_shape(experiment.empty_replay)
    each = bytes_each(experiment)
    # Less than a chunk of steps and one of episode ends is in no chunk.
    in_each = min(transitions, 2 * chunk_size(shapes) + settings.environment.num_envs)
    every = (checkpoints - 1) * settings.saving.checkpoint_every_env_steps
    in_chunks = min(transitions + every, settings.training.total_env_steps) - in_each
    if settings.is_offline:
        # They never change, so all checkpoints share them.
        in_chunks = transitions - in_each
    row = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(step_shapes(shapes, 1)))
    pictures = sum(leaf.size for leaf in experiment.spec.leaves if picture_axes(leaf))
    compressed = 1 - (1 - _LARGEST_COMPRESSED) * pictures / row
    return each * in_each * checkpoints + int(each * max(0, in_chunks) * compressed)


def update_bytes(experiment: Experiment, there: int) -> int:
    """Approximate memory of everything that an update computes. [bytes]

    Args:
        experiment: the run's experiment.
        there: available memory; if an update clearly fits, only a lower bound is returned. [bytes]
    """
    settings, network = experiment.settings, experiment.network
    batch_size = settings.update_batch_size
    batch = _batch_shapes(experiment)
    if network.is_own_code or not isinstance(network, FeedForwardNetwork):
        return _computed_bytes(experiment, batch)
    outputs = jax.eval_shape(network.apply, network.shapes, batch.observation)
    widest = max(settings.network.hidden_widths, default=1)
    samples = max(network.head.num_fractions, 1)
    rows = network.num_images * (batch_size * samples * widest + outputs.size)
    if (least := 4 * rows * COPIES) > there:
        return least
    # A loss may compare each output for an action with each other one.
    if 4 * rows * max(outputs.size // batch_size, samples) * COPIES < there:
        return least
    return _computed_bytes(experiment, batch)


def _computed_bytes(experiment: Experiment, batch: Transition | Sequences) -> int:
    """Memory of all intermediate results of an update, from its jaxpr. [bytes]"""
    # An update of PQN computes less: it has no target network.
    settings, network = experiment.settings.with_changes(algorithm="dqn"), experiment.network
    learner = jax.eval_shape(
        lambda params: init_learner(settings.learning, network, params), network.shapes
    )
    noise = noise_shapes(network, batch.reward.size)
    step = functools.partial(update, settings.learning, network)
    jaxpr = jax.make_jaxpr(lambda state, batch, noise: step(state, batch, 1.0, noise))(
        learner, batch, noise
    )
    return sum(
        variable.aval.size * variable.aval.dtype.itemsize
        for equation in jaxpr.eqns
        for variable in equation.outvars
    )


def _batch_shapes(experiment: Experiment) -> Transition | Sequences:
    """Shapes of the batch of an update."""
    if experiment.settings.sequences is not None:
        shapes = jax.eval_shape(experiment.empty_replay)
        begun = jax.ShapeDtypeStruct((experiment.settings.update_batch_size,), jnp.uint32)
        return jax.eval_shape(experiment.replay.read_sequences, shapes, begun)
    spec, size = experiment.spec, experiment.settings.update_batch_size
    observation = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype),
        FrameStack(spec, 1).observation,
    )
    number = jax.ShapeDtypeStruct((size,), jnp.float32)
    mask = jax.ShapeDtypeStruct((size, spec.num_actions), jnp.bool_) if spec.is_masked else None
    action = jax.ShapeDtypeStruct((size,), ACTION_DTYPE)
    return Transition(observation, action, number, observation, number, mask, mask)


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize


def in_bytes(count: float) -> str:
    """A number of bytes in words, such as `61.5 MiB`."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
