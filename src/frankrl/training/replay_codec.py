"""Converts the replay buffer to the files of a checkpoint, and back, a chunk at a time."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from frankrl.core.errors import DamagedError
from frankrl.core.figures import counted
from frankrl.replay import (
    Parts,
    ReplayBuffer,
    ReplayState,
    Seen,
    StoredSteps,
    chunk_order,
    chunk_size,
    ending_rows_for,
    endings_of,
    fault_in,
    fault_in_seen,
    fault_in_steps,
    first_needed_ending,
    parts_of,
    restored,
    saved_replay,
    saved_shapes,
    seen_shapes,
    step_shapes,
    steps_of,
)
from frankrl.runs.checkpoint import Loaded, Tensors
from frankrl.runs.chunks import CHUNK_SUFFIX
from frankrl.training.records import column, filled, named
from frankrl.training.replay_place import made_in_place
from frankrl.training.state import Experiment

REPLAY, DEMONSTRATIONS = "replay", "demonstrations"
"""Files of what is in no chunk: of the run's own buffer, and of a data set beside it."""
_STEPS, _ENDINGS = "steps-", "endings-"
Chunks = dict[str, Callable[[], Tensors]]
"""By its file, how to read the arrays of each chunk."""


class Saved(NamedTuple):
    """One of a run's buffers, as checkpoints hold it."""

    file: str
    """File of what is in no chunk."""
    prefix: str
    """Begins the names of its chunks' files."""
    buffer: ReplayBuffer
    empty: Callable[[int | None], ReplayState]
    """Makes it without content, with rows for so many last observations."""
    num_steps: Callable[[int], int]
    """Steps that it has been given after so many env steps of the run."""


def _own_replay(experiment: Experiment) -> Saved:
    """The buffer of a run that has one."""

    def empty(ending_rows: int | None) -> ReplayState:
        found = experiment.empty_replay(ending_rows)
        assert found is not None, "an algorithm without a replay buffer saves none"
        return found

    return Saved(REPLAY, "", experiment.replay, empty, experiment.stored_steps)


def demonstrations(experiment: Experiment) -> Saved | None:
    """The data set of which batches have a share; None: there is none."""
    buffer, data = experiment.demonstrations, experiment.data
    if buffer is None or data is None:
        return None
    return Saved(
        DEMONSTRATIONS,
        f"{DEMONSTRATIONS}-",
        buffer,
        experiment.empty_data,
        lambda ticks: data.num_steps,
    )


def replay_tensors(
    experiment: Experiment, state: ReplayState, saved: Saved | None = None
) -> tuple[Tensors, Chunks]:
    """The arrays of a buffer that every checkpoint holds, and those of each chunk.

    Args:
        experiment: the run's experiment.
        state: the buffer; the chunks are read from it when they are asked for.
        saved: which buffer of the run; None: its own.
    """
    saved = saved or _own_replay(experiment)
    buffer, size = saved.buffer, chunk_size(state)
    first_ending = first_needed_ending(buffer, state)
    parts = parts_of(buffer, size, int(state.num_steps), first_ending, int(state.num_endings))

    def steps(chunk: range) -> Tensors:
        return named(steps_of(state, chunk_order(chunk, buffer.num_envs)))

    def endings(chunk: range) -> Tensors:
        return named(endings_of(state, chunk))

    chunks: Chunks = {}
    for chunk in parts.step_chunks:
        chunks[_file(saved.prefix + _STEPS, chunk)] = functools.partial(steps, chunk)
    for chunk in parts.ending_chunks:
        chunks[_file(saved.prefix + _ENDINGS, chunk)] = functools.partial(endings, chunk)
    return named(saved_replay(buffer, state, parts)), chunks


def _file(prefix: str, chunk: range) -> str:
    """A chunk is named by its end, since its first steps may have left the buffer."""
    return f"{prefix}{chunk.stop:012d}{CHUNK_SUFFIX}"


def step_chunks(loaded: Loaded) -> dict[str, int]:
    """The chunks of a checkpoint that hold steps of the run's own buffer, oldest first, and the env
    step at which each ends."""
    names = sorted(name for name in loaded.chunks if name.startswith(_STEPS))
    return {name: int(name.removeprefix(_STEPS).removesuffix(CHUNK_SUFFIX)) for name in names}


def _files(saved: Saved, parts: Parts) -> tuple[list[str], list[str]]:
    """The files of the chunks of steps, and of those of last observations."""
    return (
        [_file(saved.prefix + _STEPS, chunk) for chunk in parts.step_chunks],
        [_file(saved.prefix + _ENDINGS, chunk) for chunk in parts.ending_chunks],
    )


def most_replay_bytes(experiment: Experiment, saved: Saved | None = None) -> int:
    """The largest possible size of what is in no chunk; arguments of `replay_tensors`. [bytes]"""
    saved = saved or _own_replay(experiment)
    shapes = jax.eval_shape(lambda: saved.empty(None))
    size, num_envs = chunk_size(shapes), saved.buffer.num_envs
    # Less than a chunk of steps and of endings, the steps that may still end, and what is seen now.
    rows = 2 * (size + num_envs)
    counters = 3 * np.dtype(np.uint32).itemsize
    return rows * _bytes(step_shapes(shapes, 1)) + counters + _bytes(shapes.priorities)


def _bytes(shapes: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def replay_from(
    loaded: Loaded, experiment: Experiment, ticks: int, saved: Saved | None = None
) -> ReplayState:
    """The whole buffer of a checkpoint, where the run keeps it.

    Every chunk is verified, checked and written to its place before the next is read.

    Args:
        loaded: the checkpoint; without the file of the buffer, it is empty.
        experiment: the run's experiment.
        ticks: of the run's clock so far.
        saved: which buffer of the run; None: its own.

    Returns:
        The buffer; then each chunk of the checkpoint has been verified, and there is no other.

    Raises:
        DamagedError: a chunk is missing, or differs from the manifest; or no run writes what the
            checkpoint holds.
        RunFolderError: the arrays do not fit the settings.
    """
    saved = saved or _own_replay(experiment)
    return made_in_place(experiment, lambda: _replay_from(loaded, experiment, ticks, saved))


def _replay_from(loaded: Loaded, experiment: Experiment, ticks: int, saved: Saved) -> ReplayState:
    names = _chunks_of(loaded, experiment, saved)
    if saved.file not in loaded.tensors:
        _refuse_other_chunks(loaded, names, [])
        return saved.empty(None)
    buffer, arrays = saved.buffer, loaded.tensors[saved.file]
    num_steps, num_endings, first_ending = _counters(loaded, saved, ticks)
    first_rows = jax.eval_shape(lambda: saved.empty(None)).num_ending_rows
    ending_rows = ending_rows_for(num_endings - first_ending, first_rows)
    shapes = jax.eval_shape(lambda: saved.empty(ending_rows))
    parts = parts_of(buffer, chunk_size(shapes), num_steps, first_ending, num_endings)
    step_files, ending_files = _files(saved, parts)
    _refuse_other_chunks(loaded, names, step_files + ending_files)
    found = filled(saved_shapes(buffer, shapes, parts, num_steps), arrays)
    _refuse(loaded, _fault_in_steps(found.steps, num_endings, experiment))
    _refuse(loaded, fault_in_seen(found.current) or fault_in_seen(found.endings))
    state = restored(
        buffer,
        shapes,
        found,
        _step_chunks(loaded, experiment, saved, shapes, parts, num_endings),
        _ending_chunks(loaded, saved, shapes, parts),
    )
    _refuse(loaded, fault_in(buffer, state, found))
    return state


def _chunks_of(loaded: Loaded, experiment: Experiment, saved: Saved) -> set[str]:
    """The chunks of a checkpoint that belong to one buffer of the run."""
    other = demonstrations(experiment)
    if other is None:
        return set(loaded.chunks)
    is_other = saved.file == other.file
    return {name for name in loaded.chunks if name.startswith(other.prefix) == is_other}


def _counters(loaded: Loaded, saved: Saved, ticks: int) -> tuple[int, int, int]:
    num_steps, num_endings, first_ending = (
        int(column(loaded.tensors[saved.file], f".{name}", np.uint32, ()))
        for name in ("num_steps", "num_endings", "first_ending")
    )
    most_alive, given = saved.buffer.num_rows + saved.buffer.num_envs, saved.num_steps(ticks)
    if num_steps != given or not 0 <= num_endings - first_ending <= min(num_steps, most_alive):
        raise DamagedError(
            f"{loaded.path} is damaged: its buffer counts {counted(num_steps, 'env step')} and "
            f"{counted(num_endings, 'episode end')} from number {first_ending:,} on, but it "
            f"has been given {counted(given, 'env step')}",
            loaded.path,
        )
    return num_steps, num_endings, first_ending


def _step_chunks(
    loaded: Loaded,
    experiment: Experiment,
    saved: Saved,
    shapes: ReplayState,
    parts: Parts,
    num_endings: int,
) -> Iterator[tuple[np.ndarray, StoredSteps]]:
    num_envs = saved.buffer.num_envs
    read = _read_ahead(loaded, _files(saved, parts)[0], shapes)
    for chunk, arrays in zip(parts.step_chunks, read, strict=True):
        held = _held(arrays, ".action", chunk)
        steps = filled(step_shapes(shapes, len(held)), arrays)
        env_steps = chunk_order(held, num_envs)
        if held != chunk:
            needed = env_steps >= chunk.start
            env_steps, steps = jax.tree.map(lambda leaf: leaf[needed], (env_steps, steps))  # noqa: B023
        _refuse(loaded, _fault_in_steps(steps, num_endings, experiment))
        yield env_steps, steps


def _fault_in_steps(steps: StoredSteps, num_endings: int, experiment: Experiment) -> str | None:
    spec = experiment.spec
    lives = spec.preprocessing.life_loss_terminates
    return fault_in_steps(steps, num_endings, spec.num_actions, life_loss_terminates=lives)


def _ending_chunks(
    loaded: Loaded, saved: Saved, shapes: ReplayState, parts: Parts
) -> Iterator[tuple[range, Seen]]:
    (path, _), *_ = jax.tree_util.tree_flatten_with_path(seen_shapes(shapes, 1))[0]
    first_leaf = jax.tree_util.keystr(path)
    read = _read_ahead(loaded, _files(saved, parts)[1], shapes)
    for chunk, arrays in zip(parts.ending_chunks, read, strict=True):
        held = _held(arrays, first_leaf, chunk)
        seen = filled(seen_shapes(shapes, len(held)), arrays)
        seen = jax.tree.map(lambda leaf: leaf[chunk.start - held.start :], seen)  # noqa: B023
        _refuse(loaded, fault_in_seen(seen))
        yield chunk, seen


def _read_ahead(loaded: Loaded, names: list[str], shapes: ReplayState) -> Iterator[Tensors]:
    """The arrays of each chunk; while one is written to the device, the next is decompressed."""
    with ThreadPoolExecutor(1) as reader:
        ahead = [reader.submit(read_chunk, loaded, name, shapes) for name in names[:1]]
        for name in names[1:]:
            ahead.append(reader.submit(read_chunk, loaded, name, shapes))
            yield ahead.pop(0).result()
        if ahead:
            yield ahead.pop().result()


def read_chunk(loaded: Loaded, name: str, shapes: ReplayState) -> Tensors:
    """The arrays of a chunk, given the shapes of the whole buffer."""
    return loaded.chunk(name, chunk_size(shapes) * _bytes(step_shapes(shapes, 1)))


def _held(arrays: Tensors, name: str, needed: range) -> range:
    """What a chunk holds: it may begin before what is needed, as it did when it was written."""
    array = arrays.get(name)
    count = len(array) if array is not None and array.ndim else 0
    return range(needed.stop - max(count, len(needed)), needed.stop)


def _refuse(loaded: Loaded, fault: str | None) -> None:
    if fault:
        raise DamagedError(f"{loaded.path} is damaged: its buffer holds {fault}", loaded.path)


def _refuse_other_chunks(loaded: Loaded, there: set[str], names: list[str]) -> None:
    """Refuse a checkpoint with a chunk that is not read, so that no later one shares it."""
    if others := sorted(there - set(names)):
        raise DamagedError(
            f"{loaded.path} is damaged: its buffer has no part {', '.join(others)[:200]}",
            loaded.path,
        )
