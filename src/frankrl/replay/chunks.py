"""The contents of a buffer in parts: chunks, which never change again, and what is newer.

A checkpoint has a file for each chunk, so that the next checkpoint need not write it again.
Chunks are aligned: chunk c of steps holds the env steps from c · size up to (c + 1) · size, and
chunk c of endings the episode ends with these numbers. A chunk is complete as soon as nothing in
it can change. Of the oldest chunk, some of the first steps may have left the buffer.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt16, UInt32

from frankrl.core.types import Observation
from frankrl.replay.buffer import ReplayBuffer
from frankrl.replay.priorities import Priorities, first_leaves, init_priorities, whole_again
from frankrl.replay.state import ReplayState, stored

CHUNK_BYTES = 1 << 25
"""Largest size of a chunk's arrays. Of 84×84 screens it holds 4,096; a smaller one would
compress less, a larger one would leave more for every checkpoint to write. Whoever changes it
increases `FORMAT` in `runs/checkpoint.py`: it decides which files a checkpoint has. [bytes]"""


class StoredSteps(NamedTuple):
    """Successive env steps; the fields are those of `ReplayState`."""

    observation: Observation
    """Leaves of shape (step, …)."""
    mask: Bool[Any, "step action"] | None
    action: UInt16[Any, " step"]
    reward: Float[Any, " step"]
    terminated: Bool[Any, " step"]
    ending: UInt32[Any, " step"]
    memory: Float[Any, "step unit"] | None = None


class Seen(NamedTuple):
    """Observations with which no step begins."""

    observation: Observation
    """Leaves of shape (row, …)."""
    mask: Bool[Any, "row action"] | None


class SavedReplay(NamedTuple):
    """What a checkpoint holds of a buffer besides its chunks."""

    steps: StoredSteps
    """The newest env steps, which are in no chunk."""
    current: Seen
    """The current observation of each environment."""
    endings: Seen
    """The newest last observations of episodes, which are in no chunk."""
    num_steps: UInt32[Any, ""]
    num_endings: UInt32[Any, ""]
    first_ending: UInt32[Any, ""]
    """Number of the oldest last observation that is saved, from 0."""
    priorities: Priorities | None


class Parts(NamedTuple):
    """Which env steps and which last observations are saved in which part."""

    step_chunks: list[range]
    """Of the first one, only the steps that are still in the buffer."""
    steps: range
    """Those in no chunk."""
    ending_chunks: list[range]
    endings: range


def chunk_size(state: ReplayState) -> int:
    """Env steps, or last observations, in a chunk; a power of two.

    Args:
        state: a buffer, or its shapes.
    """
    row = sum(
        leaf.dtype.itemsize * math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(_steps(state))
    )
    return 1 << max(0, (CHUNK_BYTES // row).bit_length() - 1)


def parts_of(
    buffer: ReplayBuffer, size: int, num_steps: int, first_ending: int, num_endings: int
) -> Parts:
    """In which part each env step and each last observation of a buffer is saved.

    Args:
        buffer: its definition.
        size: env steps, or last observations, in a chunk.
        num_steps: env steps of the run so far.
        first_ending: number of the oldest last observation that is needed.
        num_endings: episode ends added so far.
    """
    first_step = max(buffer.first_env_step, num_steps - buffer.num_rows)
    # The newest step of an environment may still become the last of its episode.
    step_chunks, steps = _split(first_step, num_steps - buffer.num_envs, num_steps, size)
    ending_chunks, endings = _split(first_ending, num_endings, num_endings, size)
    return Parts(step_chunks, steps, ending_chunks, endings)


def _split(first: int, settled: int, end: int, size: int) -> tuple[list[range], range]:
    """The complete chunks of what is settled, and the rest."""
    complete = settled // size * size
    begins = range(first // size * size, complete, size)
    return [range(max(first, at), at + size) for at in begins], range(max(first, complete), end)


def first_needed_ending(buffer: ReplayBuffer, state: ReplayState) -> int:
    """Number of the oldest last observation that a transition can still lead to, from 0."""
    num_steps = int(state.num_steps)
    first, _ = buffer.drawable(num_steps)
    ending = np.asarray(state.ending)[np.arange(first, num_steps) % buffer.num_rows]
    return int(ending[ending > 0].min(initial=int(state.num_endings) + 1)) - 1


def saved_replay(buffer: ReplayBuffer, state: ReplayState, parts: Parts) -> SavedReplay:
    """What a checkpoint holds of a buffer besides its chunks, as NumPy arrays."""
    num_steps = int(state.num_steps)
    priorities = state.priorities
    if priorities is not None:
        count = min(num_steps, buffer.capacity)
        priorities = first_leaves(jax.tree.map(np.asarray, priorities), count)
    return SavedReplay(
        steps=steps_of(state, np.array(parts.steps, np.int64)),
        current=_on_host(_seen(state), _now(buffer, num_steps) % state.num_rows),
        endings=endings_of(state, parts.endings),
        num_steps=np.asarray(state.num_steps),
        num_endings=np.asarray(state.num_endings),
        first_ending=np.uint32((parts.ending_chunks or [parts.endings])[0].start),
        priorities=priorities,
    )


def chunk_order(chunk: range, num_envs: int) -> Int[np.ndarray, " step"]:
    """The env steps of a chunk in the order in which it holds them: environment after environment,
    since successive observations of one compress best."""
    env_steps = np.array(chunk, np.int64)
    return env_steps[np.argsort(env_steps % num_envs, kind="stable")]


def steps_of(state: ReplayState, env_steps: Int[np.ndarray, " step"]) -> StoredSteps:
    """Some env steps of a buffer, as NumPy arrays."""
    return _on_host(_steps(state), env_steps % state.num_rows)


def endings_of(state: ReplayState, numbers: range) -> Seen:
    """The last observations of the episode ends with these numbers, as NumPy arrays."""
    return _on_host(_seen(state), _ending_rows(state, numbers))


def step_shapes(shapes: ReplayState, count: int) -> StoredSteps:
    """Shapes of some env steps of a buffer."""
    return _with_length(_steps(shapes), count)


def seen_shapes(shapes: ReplayState, count: int) -> Seen:
    """Shapes of some observations of a buffer."""
    return _with_length(_seen(shapes), count)


def _with_length(shapes: Any, count: int) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape[1:]), leaf.dtype), shapes
    )


def saved_shapes(
    buffer: ReplayBuffer, shapes: ReplayState, parts: Parts, num_steps: int
) -> SavedReplay:
    """Shapes of what a checkpoint holds of a buffer besides its chunks."""
    count = min(num_steps, buffer.capacity)
    number = jax.ShapeDtypeStruct((), np.uint32)
    return SavedReplay(
        steps=step_shapes(shapes, len(parts.steps)),
        current=seen_shapes(shapes, buffer.num_envs),
        endings=seen_shapes(shapes, len(parts.endings)),
        num_steps=number,
        num_endings=number,
        first_ending=number,
        priorities=shapes.priorities
        and jax.eval_shape(lambda: first_leaves(init_priorities(buffer.capacity), count)),
    )


def restored(
    buffer: ReplayBuffer,
    shapes: ReplayState,
    saved: SavedReplay,
    step_chunks: Iterable[tuple[Int[np.ndarray, " step"], StoredSteps]],
    ending_chunks: Iterable[tuple[range, Seen]],
) -> ReplayState:
    """The whole buffer, on the device. Last observations that no transition leads to are zeros.

    Args:
        buffer: its definition.
        shapes: those of the whole buffer.
        saved: what is in no chunk, with NumPy arrays.
        step_chunks: env steps and what is stored of them; each chunk is on its way to the device
            before the next is asked for.
        ending_chunks: likewise, numbers and last observations of episode ends.
    """
    leaves, structure = jax.tree.flatten(replace(shapes, priorities=None))
    state = jax.tree.unflatten(structure, _zeros(tuple(leaves)))
    for env_steps, steps in step_chunks:
        state = _with_steps(state, env_steps, steps)
    for numbers, seen in ending_chunks:
        state = _with_seen(state, _ending_rows(state, numbers), seen)
    num_steps, num_endings = int(saved.num_steps), int(saved.num_endings)
    state = _with_steps(
        state, np.arange(num_steps - len(saved.steps.action), num_steps), saved.steps
    )
    endings = range(num_endings - len(jax.tree.leaves(saved.endings)[0]), num_endings)
    state = _with_seen(state, _ending_rows(state, endings), saved.endings)
    # These come last: they lie where the observations of the oldest steps have lain.
    state = _with_seen(state, _now(buffer, num_steps) % state.num_rows, saved.current)
    return replace(
        state,
        num_steps=jnp.array(saved.num_steps),
        num_endings=jnp.array(saved.num_endings),
        priorities=saved.priorities and whole_again(saved.priorities, buffer.capacity),
    )


@functools.partial(jax.jit, static_argnums=0)
def _zeros(leaves: tuple[jax.ShapeDtypeStruct, ...]) -> list[Array]:
    return [jnp.zeros(leaf.shape, leaf.dtype) for leaf in leaves]


def _steps(state: ReplayState) -> StoredSteps:
    return StoredSteps(state.observation, state.mask, **stored(state), memory=state.memory)


def _seen(state: ReplayState) -> Seen:
    return Seen(state.observation, state.mask)


def _now(buffer: ReplayBuffer, num_steps: int) -> Int[np.ndarray, " env"]:
    """The env steps that begin with the current observations."""
    return np.arange(num_steps, num_steps + buffer.num_envs)


def _ending_rows(state: ReplayState, numbers: range) -> Int[np.ndarray, " ending"]:
    return state.num_rows + np.array(numbers, np.int64) % state.num_ending_rows


def _on_host(leaves: PyTree, rows: Int[np.ndarray, " row"]) -> PyTree:
    """Copies of some rows in the host's memory, never of all."""
    first, *_ = jax.tree.leaves(leaves)
    if next(iter(first.devices())).platform == "cpu":
        # Read where they lie: nothing has to be compiled.
        return jax.tree.map(lambda leaf: np.take(np.asarray(leaf), rows, axis=0), leaves)
    return from_device(leaves, rows)


def from_device(leaves: PyTree, rows: Int[np.ndarray, " row"]) -> PyTree:
    """Some rows of arrays on a device, as NumPy arrays; only these rows leave it."""
    found = _gathered(leaves, _padded(rows, 0))
    return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(rows)], found)


@jax.jit
def _gathered(leaves: PyTree, rows: Int[Array, " row"]) -> PyTree:
    return jax.tree.map(lambda leaf: leaf.at[rows].get(mode="promise_in_bounds"), leaves)


def _padded(rows: np.ndarray, filler: int) -> np.ndarray:
    """Rows up to the next power of two, so that a run compiles for few lengths."""
    length = 1 << max(0, len(rows) - 1).bit_length()
    padding = np.full((length - len(rows), *rows.shape[1:]), filler, rows.dtype)
    return np.concatenate([rows, padding]) if len(padding) else rows


def _with_steps(
    state: ReplayState, env_steps: Int[np.ndarray, " step"], steps: StoredSteps
) -> ReplayState:
    rows = env_steps % state.num_rows
    written = _written(_steps(state), *_to_write(state, rows, steps))
    return replace(state, **written._asdict())


def _with_seen(state: ReplayState, rows: Int[np.ndarray, " row"], seen: Seen) -> ReplayState:
    return replace(state, **_written(_seen(state), *_to_write(state, rows, seen))._asdict())


def _to_write(state: ReplayState, rows: np.ndarray, values: PyTree) -> tuple[np.ndarray, PyTree]:
    """Rows and their values, with padding that is written nowhere."""
    nowhere = state.num_rows + state.num_ending_rows
    return (
        _padded(rows, nowhere).astype(np.int32),
        jax.tree.map(lambda leaf: _padded(leaf, 0), values),
    )


@functools.partial(jax.jit, donate_argnums=0)
def _written(leaves: PyTree, rows: Int[Array, " row"], values: PyTree) -> PyTree:
    """The arrays with some rows overwritten, without a copy of them."""
    return jax.tree.map(lambda leaf, found: leaf.at[rows].set(found, mode="drop"), leaves, values)
