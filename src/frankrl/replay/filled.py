"""The filled part of a buffer, which a checkpoint holds."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.priorities import first_leaves, whole_again
from frankrl.replay.state import ReplayState, stored


def filled_part(buffer: ReplayBuffer, state: ReplayState) -> ReplayState:
    """The filled part of a buffer, as NumPy arrays."""
    host = jax.tree.map(np.asarray, state)
    return part_of(buffer, host, int(host.num_steps), int(host.num_endings))


def part_of(
    buffer: ReplayBuffer, state: ReplayState, num_steps: int, num_endings: int
) -> ReplayState:
    """The filled part of a buffer with NumPy or JAX arrays.

    Args:
        buffer: its definition.
        state: the whole buffer.
        num_steps: env steps added so far.
        num_endings: episode ends added so far.
    """
    steps = min(num_steps, state.num_rows)
    seen = _seen_rows(buffer, num_steps)
    ended = min(num_endings, state.num_ending_rows)

    def rows(leaf: Any) -> Any:
        parts = [leaf[:seen], leaf[state.num_rows : state.num_rows + ended]]
        return leaf.__array_namespace__().concat(parts)

    observation, mask = jax.tree.map(rows, (state.observation, state.mask))
    priorities = state.priorities
    if priorities is not None:
        priorities = first_leaves(priorities, min(num_steps, buffer.capacity))
    return replace(
        state,
        observation=observation,
        mask=mask,
        **{name: field[:steps] for name, field in stored(state).items()},
        priorities=priorities,
    )


def _seen_rows(buffer: ReplayBuffer, num_steps: int) -> int:
    """Number of filled observation rows after so many env steps."""
    return min(num_steps + buffer.num_envs, buffer.num_rows) if num_steps else 0


def ending_rows_in(buffer: ReplayBuffer, first: int, num_steps: int, saved_rows: int) -> int:
    """Rows for last observations in the whole buffer, computed from its filled part.

    Args:
        buffer: its definition.
        first: rows for last observations in a new buffer.
        num_steps: env steps added so far.
        saved_rows: rows of an observation leaf in the filled part.
    """
    seen = _seen_rows(buffer, num_steps)
    rows = first
    while rows < saved_rows - seen:
        rows *= 2
    return rows


def refilled(buffer: ReplayBuffer, part: ReplayState, ending_rows: int) -> ReplayState:
    """The reverse of `filled_part`: the whole buffer, on the device.

    Args:
        buffer: its definition.
        part: the filled part, with NumPy arrays.
        ending_rows: rows for last observations in the whole buffer.
    """
    num_steps, rows = int(part.num_steps), buffer.num_rows
    seen = _seen_rows(buffer, num_steps)

    def padded(found: np.ndarray, size: int) -> Array:
        whole = np.zeros((size, *found.shape[1:]), found.dtype)
        whole[: len(found)] = found
        return jnp.array(whole)

    def whole(leaf: np.ndarray) -> Array:
        filled = np.zeros((rows + ending_rows, *leaf.shape[1:]), leaf.dtype)
        filled[:seen] = leaf[:seen]
        filled[rows : rows + len(leaf) - seen] = leaf[seen:]
        return jnp.array(filled)

    observation, mask = jax.tree.map(whole, (part.observation, part.mask))
    return replace(
        part,
        observation=observation,
        mask=mask,
        **{name: padded(field, rows) for name, field in stored(part).items()},
        num_steps=jnp.array(part.num_steps),
        num_endings=jnp.array(part.num_endings),
        priorities=part.priorities and whole_again(part.priorities, buffer.capacity),
    )
