"""Writes the steps of a round into the rows of the buffer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt32

from frankrl.core.types import Steps
from frankrl.replay.state import ReplayState


class _Places(NamedTuple):
    """Where the steps of a round are written; a place behind all rows is not written to."""

    seen: UInt32[Array, " row+env"]
    """Of the states in which actions were taken, then of where each environment stands now."""
    ended: UInt32[Array, " row"]
    """Of the observations that the ended episodes arrived at, in their order."""
    ending: UInt32[Array, " row"]
    """Number of the episode end that each step led to; 0 if its episode went on."""
    num_endings: UInt32[Array, ""]
    """Episode ends after the round."""


def with_steps(
    state: ReplayState, steps: Steps, num_envs: int, kept: Bool[Array, ""] | bool
) -> ReplayState:
    """The buffer with the steps of a round in place of the oldest; priorities are as they were.

    Args:
        state: the buffer.
        steps: as for `ReplayBuffer.add`.
        num_envs: number of environments; their steps are stored in turns.
        kept: whether they are stored; if not, nothing changes.
    """
    count = steps.action.shape[0]
    places = _places(state, steps, num_envs, kept)
    taken = places.seen[:count]

    def write(stored: Array, seen: Array, last: Array) -> Array:
        return _written(_written(stored, places.seen, seen), places.ended, last)

    observation, mask = jax.tree.map(
        write,
        (state.observation, state.mask),
        (steps.observation, steps.mask),
        (steps.last_observation, steps.last_mask),
    )
    memory = state.memory
    if memory is not None:
        assert steps.memory is not None
        # What is remembered where an environment stands now comes again with its next step.
        memory = _written(memory, taken, steps.memory[:count])
    return ReplayState(
        observation=observation,
        mask=mask,
        action=_written(state.action, taken, steps.action.astype(state.action.dtype)),
        reward=_written(state.reward, taken, steps.reward),
        terminated=_written(state.terminated, taken, steps.terminated),
        ending=_written(state.ending, taken, places.ending),
        num_steps=state.num_steps + jnp.where(kept, jnp.uint32(count), jnp.uint32(0)),
        num_endings=places.num_endings,
        priorities=state.priorities,
        memory=memory,
    )


def _places(
    state: ReplayState, steps: Steps, num_envs: int, kept: Bool[Array, ""] | bool
) -> _Places:
    rows, count = state.num_rows, steps.action.shape[0]
    place = jnp.arange(count + num_envs, dtype=jnp.uint32)
    # Places that nothing is written to lie behind all rows; no two are equal.
    nowhere = rows + state.num_ending_rows + place
    seen = jnp.where(kept, (state.num_steps + place) % rows, nowhere)
    is_last = steps.is_last & kept
    order = jnp.cumsum(is_last.astype(jnp.uint32))
    ending = jnp.where(is_last, state.num_endings + order, 0).astype(jnp.uint32)
    is_real = place[:count] < order[-1]
    ended = rows + (state.num_endings + place[:count]) % state.num_ending_rows
    ended = jnp.where(is_real, ended, nowhere[:count])
    return _Places(seen, ended, ending, state.num_endings + order[-1])


def _written(stored: Array, rows: UInt32[Array, " row"], values: Array) -> Array:
    """The rows replaced; a GPU writes them one after the other unless it knows that they differ."""
    return stored.at[rows].set(values, mode="drop", unique_indices=True)
