"""A buffer saved as checkpoints save it, a chunk once and the rest each time, without files."""

import dataclasses
from typing import Any

import jax
import numpy as np

from frankrl.replay import (
    ReplayBuffer,
    ReplayState,
    chunk_order,
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
    steps_of,
)

NUM_ACTIONS = 2**16


class SavedChunks:
    """What lies on the disk: the chunks of the newest checkpoint, and the rest of it."""

    def __init__(self, buffer: ReplayBuffer, size: int) -> None:
        self._buffer, self._size = buffer, size
        self.step_chunks: dict[int, Any] = {}
        """By the env step after the last of it."""
        self.ending_chunks: dict[int, Any] = {}

    def save(self, state: ReplayState) -> None:
        """A checkpoint that writes what none before it has written."""
        buffer = self._buffer
        counters = int(state.num_steps), first_needed_ending(buffer, state), int(state.num_endings)
        self.parts = parts_of(buffer, self._size, *counters)
        steps, endings = self.step_chunks, self.ending_chunks
        self.step_chunks = {
            chunk.stop: steps.get(chunk.stop) or self._steps(state, chunk)
            for chunk in self.parts.step_chunks
        }
        self.ending_chunks = {
            chunk.stop: endings.get(chunk.stop) or endings_of(state, chunk)
            for chunk in self.parts.ending_chunks
        }
        self.saved = saved_replay(buffer, state, self.parts)

    def _steps(self, state: ReplayState, chunk: range) -> Any:
        return chunk, steps_of(state, chunk_order(chunk, self._buffer.num_envs))

    def restore(self, shapes: ReplayState) -> ReplayState:
        """The whole buffer; `shapes` are those of a new one."""
        buffer, saved = self._buffer, self.saved
        held = int(saved.num_endings) - int(saved.first_ending)
        rows = ending_rows_for(held, shapes.num_ending_rows)
        shapes = with_ending_shapes(shapes, rows)
        expected = saved_shapes(buffer, shapes, self.parts, int(saved.num_steps))
        assert jax.tree.structure(expected) == jax.tree.structure(saved)
        for like, leaf in zip(jax.tree.leaves(expected), jax.tree.leaves(saved), strict=True):
            assert (like.shape, like.dtype) == (leaf.shape, leaf.dtype)
        state = restored(buffer, shapes, saved, self._each_step_chunk(), self._each_ending_chunk())
        num_endings = held + int(saved.first_ending)
        assert self._fault_in(saved.steps, num_endings) is None
        assert fault_in(buffer, state, saved) is None
        return state

    def _fault_in(self, steps: Any, num_endings: int) -> str | None:
        return fault_in_steps(steps, num_endings, NUM_ACTIONS, life_loss_terminates=True)

    def _each_step_chunk(self) -> Any:
        for chunk in self.parts.step_chunks:
            held, steps = self.step_chunks[chunk.stop]
            env_steps = chunk_order(held, self._buffer.num_envs)
            needed = np.isin(env_steps, chunk)
            steps = jax.tree.map(lambda leaf, needed=needed: leaf[needed], steps)
            assert self._fault_in(steps, int(self.saved.num_endings)) is None
            yield env_steps[needed], steps

    def _each_ending_chunk(self) -> Any:
        for chunk in self.parts.ending_chunks:
            held = self.ending_chunks[chunk.stop]
            count = len(chunk)
            seen = jax.tree.map(lambda leaf, count=count: leaf[-count:], held)
            assert fault_in_seen(seen) is None
            yield chunk, seen


def with_ending_shapes(shapes: ReplayState, rows: int) -> ReplayState:
    """The shapes with another number of rows for endings."""
    places = shapes.num_rows + rows
    observation, mask = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((places, *leaf.shape[1:]), leaf.dtype),
        (shapes.observation, shapes.mask),
    )
    return dataclasses.replace(shapes, observation=observation, mask=mask)


def assert_same_buffer(buffer: ReplayBuffer, found: ReplayState, expected: ReplayState) -> None:
    """Every bit is the same, but for last observations that no transition leads to any more.

    The rows of these may hold anything, and there may be fewer rows.
    """
    assert first_needed_ending(buffer, found) == first_needed_ending(buffer, expected)
    for one, other in zip(
        jax.tree.leaves(_comparable(buffer, found)),
        jax.tree.leaves(_comparable(buffer, expected)),
        strict=True,
    ):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def _comparable(buffer: ReplayBuffer, state: ReplayState) -> Any:
    numbers = range(first_needed_ending(buffer, state), int(state.num_endings))
    own = jax.tree.map(
        lambda leaf: np.asarray(leaf)[: state.num_rows], (state.observation, state.mask)
    )
    fields = (state.action, state.reward, state.terminated, state.ending, state.memory)
    counters = (state.num_steps, state.num_endings)
    return (own, fields, counters, state.priorities, endings_of(state, numbers))
