"""A replay buffer driven by the same random operations as one in plain lists, and compared."""

import dataclasses
import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from naive_replay import NUM_ACTIONS, World
from naive_sequences import with_memories
from saved_chunks import SavedChunks, assert_same_buffer

from frankrl.core.sequences import Sequences
from frankrl.core.types import Steps
from frankrl.replay import (
    EndingRoom,
    PrioritisedSampler,
    ReplayBuffer,
    ReplayState,
    UniformSampler,
    cut_short,
    with_ending_rows,
)

# A half, so that sums of discounted whole numbers are exact in whatever order they are taken.
GAMMA = 0.5
UNIFORM = UniformSampler(2)
PRIORITISED = PrioritisedSampler(2, exponent=1.0, epsilon=0.5, beta=0.4, beta_ticks=100)


class DrivenBuffer:
    """The buffer as rounds of training drive it, filled by a world."""

    def __init__(
        self, buffer: ReplayBuffer, world: World, ending_rows: int = 1, chunk: int = 4
    ) -> None:
        """An empty buffer.

        Args:
            buffer: its definition.
            world: what fills it.
            ending_rows: so few that they must become more.
            chunk: env steps, and endings, in a chunk of a checkpoint.
        """
        self.buffer = buffer
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), world.observation(0)
        )
        masked_actions = None if world.mask(0) is None else NUM_ACTIONS
        self._new = lambda: buffer.init(shapes, masked_actions, ending_rows)
        self._disk = SavedChunks(buffer, chunk)
        self.stand_at(self._new())

    def stand_at(self, state: ReplayState) -> None:
        """Go on from another state."""
        self.state, self.room = state, EndingRoom(self.buffer, state)

    def add(self, steps: Steps) -> None:
        state = self.state
        if rows := self.room.grown_to(steps.is_last):
            state = with_ending_rows(state, rows)
        self.state = _compiled_add(self.buffer)(state, steps)

    def cut_short(self, env_indices: list[int]) -> None:
        self.stand_at(cut_short(self.buffer, self.state, env_indices))

    def save_and_restore(self) -> None:
        self._disk.save(self.state)
        self.stand_at(self._disk.restore(jax.eval_shape(self._new)))

    def drawable(self) -> tuple[int, int]:
        return self.buffer.drawable(int(self.state.num_steps))

    def batch(self) -> Any:
        """As many transitions, or sequences, as the buffer holds at most; the newest fills what is
        missing."""
        first, end = self.drawable()
        env_steps = np.minimum(np.arange(first, first + self.buffer.capacity), end - 1)
        return compiled_read(self.buffer)(self.state, jnp.asarray(env_steps, jnp.uint32))


@functools.lru_cache
def _compiled_add(buffer: ReplayBuffer) -> Any:
    return jax.jit(buffer.add, donate_argnums=0)


@functools.lru_cache
def compiled_read(buffer: ReplayBuffer) -> Any:
    """What the buffer holds at given env steps: sequences if it has any, else transitions."""
    return jax.jit(buffer.read_sequences if buffer.sequences else buffer.read)


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def where_shown(sequences: Sequences) -> Sequences:
    """With zeros in place of observations that are not shown."""
    is_shown = np.asarray(sequences.is_shown)

    def shown(leaf: Any) -> np.ndarray:
        kept = is_shown.reshape(is_shown.shape + (1,) * (leaf.ndim - 2))
        return np.where(kept, leaf, np.zeros_like(leaf))

    return dataclasses.replace(sequences, observation=jax.tree.map(shown, sequences.observation))


class Naive(Protocol):
    """A buffer in plain lists."""

    @property
    def num_drawable(self) -> int: ...
    def append(self, env_index: int, step: Any) -> None: ...
    def cut_short(self, env_index: int) -> None: ...
    def batch(self, count: int) -> Any: ...


def assert_holds(driven: DrivenBuffer, naive: Naive) -> None:
    """All that can be drawn is what the lists hold, in the same order."""
    first, end = driven.drawable()
    capacity = driven.buffer.capacity
    assert end - first == naive.num_drawable
    if end > first:
        found = driven.batch()
        found = where_shown(found) if isinstance(found, Sequences) else found
        assert_same(found, naive.batch(capacity))
    if driven.state.priorities is not None:
        leaves = np.ravel(driven.state.priorities.tree.levels[0])
        slots = np.arange(first, end) % capacity
        assert np.flatnonzero(leaves).tolist() == sorted(slots.tolist())


def play(
    world: World, naive: Naive, driven: list[DrivenBuffer], num_vector_steps: int, ends: Any
) -> None:
    """A round, for the lists and for each of the buffers.

    Args:
        world: takes the steps.
        naive: the lists.
        driven: the buffers, all of the same definition.
        num_vector_steps: of the round.
        ends: probabilities as for `World.vector_step`.
    """
    vector_steps = [world.vector_step(*ends) for _ in range(num_vector_steps)]
    steps = world.steps(vector_steps)
    if driven[0].buffer.sequences is not None:
        steps = with_memories(steps)
    for vector_step in vector_steps:
        for env_index, step in enumerate(vector_step):
            naive.append(env_index, step)
    for buffer in driven:
        buffer.add(steps)


ENDS = st.one_of(
    st.sampled_from([(0, 0), (0.1, 0.1), (0.4, 0), (0, 0.4), (0.5, 0.5), (1, 0), (0, 1), (1, 1)]),
    st.sampled_from([(0, 0, 0.3), (0, 0, 1), (0.2, 0.2, 0.4)]),
)
"""Probabilities of termination, of truncation and of a lost life that counts as termination."""
OPERATIONS = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 8), ENDS),
    st.tuples(st.just("save")),
    st.tuples(st.just("cut"), st.sampled_from([[0], [1], [2], [0, 1, 2, 3]])),
)


class Setup(Protocol):
    """A buffer, and what kind of world fills it."""

    @property
    def num_envs(self) -> int: ...
    @property
    def vector_steps(self) -> int: ...
    def world(self, seed: int) -> World: ...
    def naive(self) -> Naive: ...
    def driven(self, world: World) -> DrivenBuffer: ...


def assert_holds_after_each(operations: list[Any], setup: Setup, seed: int) -> None:
    """Whatever was done before, the buffer holds what the lists do, and saving changes nothing."""
    world, naive = setup.world(seed), setup.naive()
    driven, never_saved = setup.driven(world), setup.driven(world)
    for operation, *how in operations:
        if operation == "save":
            driven.save_and_restore()
        elif operation == "cut":
            env_indices = [index for index in how[0] if index < setup.num_envs]
            for env_index in env_indices:
                naive.cut_short(env_index)
                world.reset(env_index)
            for buffer in (driven, never_saved):
                buffer.cut_short(env_indices)
        else:
            times, ends = how
            for _ in range(times):
                play(world, naive, [driven, never_saved], setup.vector_steps, ends)
        assert_holds(driven, naive)
    driven.save_and_restore()
    assert_holds(driven, naive)
    assert_same_buffer(driven.buffer, driven.state, never_saved.state)
