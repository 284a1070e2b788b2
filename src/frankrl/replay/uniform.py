"""A ring of quadruples, and which of its rows an update learns from."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Integer, UInt32

from frankrl.core.random import Use, uniforms
from frankrl.core.types import ACTION_DTYPE, QuadrupleBatch
from frankrl.replay.priorities import Priorities, first_rows, whole_again


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ReplayState:
    """The buffer: `num_added` alone gives both how full it is and where the next row goes.

    Its arrays are JAX's while it is learned from, NumPy's on their way to a file.
    """

    quadruples: QuadrupleBatch
    """Fields of shape (capacity, …)."""
    begun: UInt32[Any, " capacity"]
    """Env step of the run that each quadruple begins with, from 0: where it came from."""
    num_added: UInt32[Any, ""]
    """Quadruples ever added."""
    priorities: Priorities | None = None
    """How likely each row is to be drawn; none where all are drawn alike."""


def _fields(observation_shape: tuple[int, ...], dtype: np.dtype) -> dict:
    return {
        "observation": (observation_shape, dtype),
        "action": ((), ACTION_DTYPE),
        "reward": ((), np.dtype(np.float32)),
        "next_observation": (observation_shape, dtype),
        "terminated": ((), np.dtype(np.bool_)),
        "num_steps": ((), np.dtype(np.uint8)),
    }


def bytes_per_transition(observation_shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Memory that one quadruple takes in the buffer. [bytes]"""
    fields = _fields(observation_shape, dtype).values()
    return 4 + sum(math.prod(shape) * kind.itemsize for shape, kind in fields)


def init_replay(
    capacity: int,
    observation_shape: tuple[int, ...],
    dtype: np.dtype,
    priorities: Priorities | None = None,
) -> ReplayState:
    """An empty buffer for `capacity` quadruples, with priorities where there are to be any."""
    quadruples = QuadrupleBatch(
        **{
            name: jnp.zeros((capacity, *shape), kind)
            for name, (shape, kind) in _fields(observation_shape, dtype).items()
        }
    )
    return ReplayState(
        quadruples=quadruples,
        begun=jnp.zeros((capacity,), jnp.uint32),
        num_added=jnp.zeros((), jnp.uint32),
        priorities=priorities,
    )


class FilledPart(NamedTuple):
    """The slots of a buffer that something has been written to."""

    quadruples: QuadrupleBatch
    begun: UInt32[Any, " row"]
    num_added: UInt32[Any, ""]
    priorities: Priorities | None


def filled_part(state: ReplayState) -> FilledPart:
    """What has to be saved of a buffer, on the host."""
    size = min(int(state.num_added), state.begun.shape[0])
    return first_slots(jax.tree.map(np.asarray, state), size)


def first_slots(state: ReplayState, size: int) -> FilledPart:
    """The first `size` slots of a buffer, whatever kind its arrays are of."""
    rows = QuadrupleBatch(*(field[:size] for field in state.quadruples))
    priorities = state.priorities and first_rows(state.priorities, size)
    return FilledPart(rows, state.begun[:size], state.num_added, priorities)


def refilled(part: FilledPart, capacity: int) -> ReplayState:
    """The whole buffer again, on the device that learns."""

    def whole(rows: np.ndarray) -> Array:
        empty = np.zeros((capacity - len(rows), *rows.shape[1:]), rows.dtype)
        return jnp.array(np.concatenate([rows, empty]))

    quadruples = QuadrupleBatch(*map(whole, part.quadruples))
    priorities = part.priorities and whole_again(part.priorities, capacity)
    return ReplayState(quadruples, whole(part.begun), jnp.array(part.num_added), priorities)


def add(
    state: ReplayState,
    rows: QuadrupleBatch,
    begun: UInt32[Array, " row"],
    count: Integer[Array, ""],
) -> ReplayState:
    """The buffer with the first `count` of the rows written over its oldest ones.

    Args:
        state: donate it to the compiled call, or the whole buffer is copied.
        rows: fields of shape (rows, …), at most as many as the capacity; of fixed
            size, so that one compilation serves any count.
        begun: env step of the run that each row begins with.
        count: how many of the rows are real.
    """
    capacity = state.quadruples.reward.shape[0]
    slot, is_real = next_slots(state, rows.reward.shape[0], count)
    slot = jnp.where(is_real, slot, jnp.uint32(capacity))
    quadruples, begun = jax.tree.map(
        lambda stored, new: stored.at[slot].set(new, mode="drop"),
        (state.quadruples, state.begun),
        (rows, begun),
    )
    # Without the barrier XLA may write into a copy of the whole buffer to read from it again.
    quadruples = jax.lax.optimization_barrier(quadruples)
    num_added = state.num_added + count.astype(jnp.uint32)
    return ReplayState(quadruples, begun, num_added, state.priorities)


def next_slots(
    state: ReplayState, num_rows: int, count: Integer[Array, ""]
) -> tuple[UInt32[Array, " row"], Bool[Array, " row"]]:
    """Where the next rows go, and which of them are real: the first `count`."""
    row = jnp.arange(num_rows, dtype=jnp.uint32)
    slot = (state.num_added + row) % jnp.uint32(state.quadruples.reward.shape[0])
    return slot, row < count.astype(jnp.uint32)


def sample_indices(
    seed: int, first_update: int, num_updates: int, batch_size: int, fill: int
) -> UInt32[np.ndarray, "update batch"]:
    """Which rows each of the next updates trains on, uniformly with replacement.

    An update's rows are a function of the seed, its number and the buffer's fill alone:
    any past update's batch can be found again.

    Args:
        seed: the run's.
        first_update: number of the first update, from 0.
        num_updates: how many updates to draw for.
        batch_size: rows per update.
        fill: how many rows of the buffer hold a quadruple.
    """
    draws = uniforms(seed, Use.REPLAY, first_update, num_updates, width=batch_size)
    return (draws * fill).astype(np.uint32)


def newest_indices(
    num_added: int, count: int, num_updates: int, rows: int, batch_size: int, capacity: int
) -> UInt32[np.ndarray, "update batch"]:
    """The rows of updates that follow what is collected, without replay: the newest in order.

    Args:
        num_added: quadruples ever added, with those of this round.
        count: quadruples that this round added; its updates go through them evenly.
        num_updates: due in this round.
        rows: of the answer; those beyond `num_updates` mean nothing.
        batch_size: quadruples per update; fewer than that are repeated.
        capacity: of the buffer.
    """
    due = max(num_updates, 1)
    update = np.minimum(np.arange(1, rows + 1), due)[:, None]
    # What the round has overwritten by now cannot be learned from any more.
    oldest = max(1, num_added - capacity + batch_size)
    seen = np.maximum(num_added - count + update * count // due, min(oldest, num_added))
    back = np.arange(batch_size)[::-1] % np.maximum(np.minimum(seen, capacity), 1)
    return ((seen - 1 - back) % capacity).astype(np.uint32)


def gather(state: ReplayState, indices: UInt32[Array, "*batch"]) -> QuadrupleBatch:
    """The quadruples at the given rows."""
    return jax.tree.map(
        lambda stored: stored.at[indices].get(mode="promise_in_bounds"), state.quadruples
    )
