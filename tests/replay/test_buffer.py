"""The replay buffer beside a deque of finished transitions, driven by the same operations."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from long_forms import some_of
from naive_replay import NUM_ACTIONS, NaiveReplay, World
from quiet_rlax import rlax
from saved_chunks import SavedChunks, assert_same_buffer

from frankrl.replay import (
    EndingRoom,
    PrioritisedSampler,
    ReplayBuffer,
    UniformSampler,
    cut_short,
    with_ending_rows,
)
from frankrl.replay.chunks import from_device

# A half, so that sums of discounted whole numbers are exact in whatever order they are taken.
GAMMA = 0.5
UNIFORM = UniformSampler(2)
PRIORITISED = PrioritisedSampler(2, exponent=1.0, epsilon=0.5, beta=0.4, beta_env_steps=100)


class Setup(NamedTuple):
    """A buffer, and what kind of world fills it."""

    num_envs: int
    n_step: int
    capacity: int
    vector_steps: int
    """Of a round."""
    kind: str
    masked: bool
    sampler: UniformSampler | PrioritisedSampler = UNIFORM
    ending_rows: int = 1
    """So few that they must become more."""
    frame_stack: int = 1
    chunk: int = 4
    """Env steps, and endings, in a chunk of a checkpoint."""
    begin: int = 0
    """Env step at which the buffer begins."""

    def buffer(self):
        return ReplayBuffer(
            self.capacity,
            self.num_envs,
            self.n_step,
            GAMMA,
            self.sampler,
            self.frame_stack,
            first_env_step=self.begin,
        )

    def naive(self):
        sizes = self.capacity, self.num_envs, self.n_step
        return NaiveReplay(*sizes, GAMMA, self.frame_stack, self.skipped)

    @property
    def skipped(self):
        """Transitions of a buffer begun later whose stacks are not known."""
        return (self.frame_stack - 1) * self.num_envs if self.begin else 0

    def world(self, seed):
        return World(self.num_envs, self.kind, masked=self.masked, seed=seed)


SETUPS = {
    "one_env": Setup(1, 1, 5, 2, "lone", False, chunk=2),
    "one_env_n_step": Setup(1, 4, 7, 3, "lone", True, PRIORITISED, 3, chunk=1),
    "one_step": Setup(3, 1, 7, 2, "dict", True, UNIFORM, 2, chunk=4),
    "capacity_is_no_multiple": Setup(3, 2, 20, 3, "dict", False, PRIORITISED, 8, chunk=8),
    "smallest_capacity": Setup(2, 3, 8, 2, "lone", True, UNIFORM, 4, chunk=4),
    "many_envs": Setup(4, 5, 33, 1, "dict", True, PRIORITISED, 8, chunk=16),
    "begun_later": Setup(3, 2, 10, 2, "dict", True, PRIORITISED, 4, chunk=4, begin=33),
    "chunk_larger_than_the_buffer": Setup(2, 2, 9, 1, "dict", True, PRIORITISED, 4, chunk=32),
    "stack_begun_later": Setup(2, 2, 8, 1, "lone", False, UNIFORM, 4, frame_stack=3, begin=22),
    "stack": Setup(1, 1, 6, 2, "lone", False, UNIFORM, 1, frame_stack=4),
    "stack_of_two": Setup(2, 3, 9, 2, "dict", True, UNIFORM, 4, frame_stack=2),
    "stack_longer_than_n": Setup(3, 2, 20, 1, "dict", False, PRIORITISED, 8, frame_stack=5),
}

SOME = (
    "one_env_n_step",
    "capacity_is_no_multiple",
    "chunk_larger_than_the_buffer",
    "stack_begun_later",
)


@functools.lru_cache
def compiled_add(buffer):
    return jax.jit(buffer.add, donate_argnums=0)


@functools.lru_cache
def compiled_read(buffer):
    return jax.jit(buffer.read)


class Driven:
    """The buffer as rounds of training drive it."""

    def __init__(self, setup, world):
        self.setup, self.buffer = setup, setup.buffer()
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), world.observation(0)
        )
        masked_actions = NUM_ACTIONS if setup.masked else None
        self._new = lambda: self.buffer.init(shapes, masked_actions, setup.ending_rows)
        self._disk = SavedChunks(self.buffer, setup.chunk)
        self._stand_at(self._new())

    def _stand_at(self, state):
        self.state, self.room = state, EndingRoom(self.buffer, state)

    def add(self, steps):
        state = self.state
        if rows := self.room.grown_to(steps.is_last):
            state = with_ending_rows(state, rows)
        self.state = compiled_add(self.buffer)(state, steps)

    def cut_short(self, env_indices):
        self._stand_at(cut_short(self.buffer, self.state, env_indices))

    def save_and_restore(self):
        self._disk.save(self.state)
        self._stand_at(self._disk.restore(jax.eval_shape(self._new)))

    def drawable(self):
        return self.buffer.drawable(int(self.state.num_steps))

    def batch(self):
        """As many transitions as the buffer holds at most; the newest fills what is missing."""
        first, end = self.drawable()
        env_steps = np.minimum(np.arange(first, first + self.setup.capacity), end - 1)
        return compiled_read(self.buffer)(self.state, jnp.asarray(env_steps, jnp.uint32))


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def assert_holds(driven, naive):
    """Every transition that can be drawn is the deque's, in the same order."""
    first, end = driven.drawable()
    assert end - first == len(naive.transitions)
    if end > first:
        assert_same(driven.batch(), naive.batch(driven.setup.capacity))
    if driven.state.priorities is not None:
        leaves = np.ravel(driven.state.priorities.tree.levels[0])
        slots = np.arange(first, end) % driven.setup.capacity
        assert np.flatnonzero(leaves).tolist() == sorted(slots.tolist())


def play(world, naive, driven, num_vector_steps, ends):
    """A round, for the deque and for each of the buffers."""
    vector_steps = [world.vector_step(*ends) for _ in range(num_vector_steps)]
    steps = world.steps(vector_steps)
    for vector_step in vector_steps:
        for env_index, step in enumerate(vector_step):
            naive.append(env_index, step)
    for buffer in driven:
        buffer.add(steps)


def begun(setup, seed=0):
    world = setup.world(seed)
    return world, setup.naive()


ENDS = st.one_of(
    st.sampled_from([(0, 0), (0.1, 0.1), (0.4, 0), (0, 0.4), (0.5, 0.5), (1, 0), (0, 1), (1, 1)]),
    st.sampled_from([(0, 0, 0.3), (0, 0, 1), (0.2, 0.2, 0.4)]),
)
"""Probabilities of termination, of truncation and of a lost life that counts as termination."""
OPERATIONS = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 8), ENDS),
    st.tuples(st.just("save")),
    st.tuples(st.just("cut"), st.sampled_from([[0], [2], [0, 1, 2, 3]])),
)


@pytest.mark.parametrize("name", some_of(SETUPS, SOME))
@examples(20)
@given(operations=st.lists(OPERATIONS, max_size=14), seed=st.integers(0, 2**32 - 1))
def test_every_transition_is_that_of_a_deque_whatever_was_done_before(name, operations, seed):
    setup = SETUPS[name]
    world, naive = begun(setup, seed)
    driven, never_saved = Driven(setup, world), Driven(setup, world)
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
                play(world, naive, (driven, never_saved), setup.vector_steps, ends)
        assert_holds(driven, naive)
    driven.save_and_restore()
    assert_holds(driven, naive)
    assert_same_buffer(driven.buffer, driven.state, never_saved.state)


@pytest.mark.parametrize("name", SETUPS)
def test_before_the_last_of_n_steps_nothing_can_be_drawn(name):
    setup = SETUPS[name]
    world, naive = begun(setup)
    driven = Driven(setup, world)
    first = setup.begin + setup.skipped
    for vector_step in range(1, setup.n_step + setup.frame_stack + 1):
        play(world, naive, [driven], 1, (0.5, 0.5))
        finished = max(0, vector_step - setup.n_step + 1) * setup.num_envs
        end = max(first, setup.begin + min(finished, vector_step * setup.num_envs))
        assert driven.drawable() == (max(first, end - setup.capacity), end)
        assert_holds(driven, naive)


def test_room_for_endings_grows_to_what_is_alive_and_no_further():
    setup = SETUPS["many_envs"]
    world, naive = begun(setup)
    driven = Driven(setup, world)
    alive = setup.capacity + (setup.n_step - 1) * setup.num_envs
    rows = []
    for _ in range(60):
        play(world, naive, [driven], 1, (1, 0))
        rows.append(driven.state.num_ending_rows)
        assert_holds(driven, naive)
    assert int(driven.state.num_endings) == int(driven.state.num_steps) == 240
    assert rows[:6] == [8, 8, 16, 16, 32, 32]
    assert alive < rows[-1] < 2 * (alive + setup.num_envs)
    assert set(rows[16:]) == {rows[-1]}


def test_where_no_episode_ends_for_long_old_endings_leave_their_room_to_new_ones():
    setup = SETUPS["one_step"]._replace(ending_rows=6)
    world, naive = begun(setup)
    driven = Driven(setup, world)
    for _ in range(12):
        play(world, naive, [driven], 1, (0, 1))
        assert_holds(driven, naive)
        for _ in range(4):
            play(world, naive, [driven], 1, (0, 0))
            assert_holds(driven, naive)
    assert int(driven.state.num_endings) == 36
    assert driven.state.num_ending_rows == 6


def test_an_episode_that_was_cut_short_twice_has_ended_once():
    setup = SETUPS["smallest_capacity"]
    world, naive = begun(setup)
    driven = Driven(setup, world)
    driven.cut_short([0, 1])
    assert int(driven.state.num_endings) == 0
    play(world, naive, [driven], 2, (0, 0))
    for _ in range(2):
        naive.cut_short(1)
        driven.cut_short([1])
    assert int(driven.state.num_endings) == 1
    world.reset(1)
    for _ in range(3):
        play(world, naive, [driven], 1, (0, 0))
        assert_holds(driven, naive)


def test_an_ending_that_was_numbered_late_takes_no_room_from_one_that_is_alive():
    """Environment 0 is cut short after 1 has ended in the same vector step: the earlier env step
    has the later number. It is forgotten first, and its row lies between rows still read."""
    setup = Setup(2, 1, 7, 1, "lone", False, ending_rows=4)
    world, naive = begun(setup)
    driven = Driven(setup, world)
    play(world, naive, [driven], 1, ([0, 1], 0))
    naive.cut_short(0)
    world.reset(0)
    driven.cut_short([0])
    for _ in range(3):
        play(world, naive, [driven], 1, (0, [0, 1]))
        assert_holds(driven, naive)
    assert driven.drawable() == (1, 8)


def test_env_steps_near_the_largest_budget_are_counted_right():
    """Steps, rows and endings are numbered by uint32; a run has less than 2³¹ env steps."""
    setup = SETUPS["capacity_is_no_multiple"]
    begin = (2**31 - 500) // setup.num_envs * setup.num_envs
    world, naive = begun(setup)
    driven = Driven(setup, world)
    state = dataclasses.replace(
        driven.state, num_steps=jnp.uint32(begin), num_endings=jnp.uint32(begin - 7)
    )
    driven._stand_at(state)
    for _ in range(50):
        play(world, naive, [driven], 3, (0.2, 0.2))
        if int(driven.state.num_steps) >= begin + setup.capacity + 3:
            assert_same(driven.batch(), naive.batch(setup.capacity))
    assert 2**31 - 100 < int(driven.state.num_steps) < 2**31


@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_rows_are_fetched_from_a_device_as_they_lie_in_it(count):
    """On a CPU they are read where they lie; on a GPU only these rows leave the device."""
    leaves = {"a": jnp.arange(60).reshape(20, 3), "b": jnp.arange(25, dtype=jnp.uint8)}
    rows = np.random.default_rng(count).integers(20, size=count)
    found = from_device(leaves, rows)
    assert_same(found, jax.tree.map(lambda leaf: np.asarray(leaf)[rows], leaves))


@pytest.mark.parametrize("n_step", [1, 5])
def test_rewards_are_discounted_to_single_precision(n_step):
    gamma, capacity = 0.99, 40
    world, naive = World(2, "lone", masked=False, seed=1), NaiveReplay(capacity, 2, n_step, gamma)
    setup = Setup(2, n_step, capacity, 1, "lone", False, ending_rows=40)
    driven = Driven(setup, world)
    driven.buffer = dataclasses.replace(driven.buffer, gamma=gamma)
    for _ in range(40):
        play(world, naive, [driven], 1, (0.05, 0.05))
    found, expected = driven.batch(), naive.batch(capacity)
    np.testing.assert_allclose(found.reward, expected.reward, rtol=1e-6)
    np.testing.assert_allclose(found.discount, expected.discount, rtol=1e-6)


@pytest.mark.parametrize("n_step", [1, 3])
def test_reward_and_discount_make_the_n_step_return_of_rlax(n_step):
    setup = Setup(1, n_step, 12, 1, "lone", False)
    world, naive = begun(setup)
    driven = Driven(setup, world)
    for _ in range(12 + n_step - 1):
        play(world, naive, [driven], 1, (0, 0))
    found = driven.batch()
    # The value of a state is the number that it shows; there is one more step than returns.
    rewards = np.asarray(driven.state.reward)[: 12 + n_step - 1]
    values = np.asarray(driven.state.observation)[1 : 12 + n_step, 0]
    expected = rlax.n_step_bootstrapped_returns(
        rewards, np.full(len(rewards), GAMMA, np.float32), values, n_step
    )
    returns = found.reward + found.discount * found.next_observation[:, 0]
    np.testing.assert_allclose(returns, expected[:12], rtol=1e-6)


@pytest.mark.slow
def test_the_longest_n_spans_all_its_steps():
    setup = Setup(1, 255, 300, 1, "lone", False)
    world, naive = begun(setup)
    driven = Driven(setup, world)
    vector_steps = [world.vector_step(0, 0.003) for _ in range(300)]
    for (step,) in vector_steps:
        step.reward = 1.0
        naive.append(0, step)
    driven.add(world.steps(vector_steps))
    assert driven.drawable() == (0, 46)
    assert_holds(driven, naive)
