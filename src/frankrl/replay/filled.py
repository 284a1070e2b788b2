"""A buffer that holds whole episodes from the start, such as those of a data set."""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt16

from frankrl.core.types import Observation
from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.state import ReplayState


class WholeEpisodes(NamedTuple):
    """Episodes one after the other, as NumPy arrays; each step's fields are those of `Steps`.

    States stand where the buffer has them, so that they need not be copied to get there: those in
    which each action was taken; one that nobody reads; and what each episode arrived at.
    """

    observation: Observation
    """Leaves of shape (step + 1 + episode, …)."""
    mask: Bool[Any, "state action"] | None
    """Of the same states."""
    action: UInt16[Any, " step"]
    reward: Float[Any, " step"]
    is_last: Bool[Any, " step"]
    terminated: Bool[Any, " step"]


def filled(buffer: ReplayBuffer, episodes: WholeEpisodes) -> ReplayState:
    """The buffer with these episodes, each of whose transitions can be sampled.

    Args:
        buffer: its definition; it has one environment and room for exactly these steps.
        episodes: the episodes.
    """
    num_steps, num_endings = len(episodes.action), int(episodes.is_last.sum())
    order = np.cumsum(episodes.is_last, dtype=np.uint32)

    def padded(values: np.ndarray) -> jax.Array:
        return jnp.array(np.concatenate([values, np.zeros(1, values.dtype)]))

    units = buffer.sequences.memory_units if buffer.sequences else None
    state = ReplayState(
        observation=jax.tree.map(jnp.array, episodes.observation),
        mask=None if episodes.mask is None else jnp.array(episodes.mask),
        action=padded(episodes.action),
        reward=padded(episodes.reward.astype(np.float32)),
        terminated=padded(episodes.terminated),
        ending=padded(np.where(episodes.is_last, order, 0).astype(np.uint32)),
        num_steps=jnp.uint32(num_steps),
        num_endings=jnp.uint32(num_endings),
        priorities=None,
        # A sequence of a data set begins its burn-in with an empty memory.
        memory=None if units is None else jnp.zeros((num_steps + 1, units), jnp.float32),
    )
    return as_new(buffer, state)


def as_new(buffer: ReplayBuffer, state: ReplayState) -> ReplayState:
    """A filled buffer whose transitions have the priorities of new ones.

    Args:
        buffer: its definition.
        state: what it holds.
    """
    sampler, capacity = buffer.sampler, buffer.capacity
    without = replace(state, priorities=sampler.init(capacity))
    return sampler.add(without, capacity, jnp.uint32(0), state.num_steps, capacity)
