"""The replay buffer beside a deque of finished transitions, driven by the same operations."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from driven_buffer import (
    GAMMA,
    OPERATIONS,
    PRIORITISED,
    UNIFORM,
    DrivenBuffer,
    assert_holds,
    assert_holds_after_each,
    assert_same,
    play,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from long_forms import some_of
from naive_replay import NaiveReplay, World
from quiet_rlax import rlax

from frankrl.replay import PrioritisedSampler, ReplayBuffer, UniformSampler
from frankrl.replay.chunks import from_device


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

    def driven(self, world):
        return DrivenBuffer(self.buffer(), world, self.ending_rows, self.chunk)


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

FEW = ("chunk_larger_than_the_buffer", "stack_begun_later")
SOME = (*FEW, "one_env_n_step", "capacity_is_no_multiple")


def begun(setup, seed=0):
    world = setup.world(seed)
    return world, setup.naive()


@pytest.mark.parametrize("name", some_of(SETUPS, FEW))
@examples(20)
@given(operations=st.lists(OPERATIONS, max_size=14), seed=st.integers(0, 2**32 - 1))
def test_every_transition_is_that_of_a_deque_whatever_was_done_before(name, operations, seed):
    assert_holds_after_each(operations, SETUPS[name], seed)


@pytest.mark.parametrize("name", some_of(SETUPS, SOME))
def test_before_the_last_of_n_steps_nothing_can_be_drawn(name):
    setup = SETUPS[name]
    world, naive = begun(setup)
    driven = setup.driven(world)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
    state = dataclasses.replace(
        driven.state, num_steps=jnp.uint32(begin), num_endings=jnp.uint32(begin - 7)
    )
    driven.stand_at(state)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
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
    driven = setup.driven(world)
    vector_steps = [world.vector_step(0, 0.003) for _ in range(300)]
    for (step,) in vector_steps:
        step.reward = 1.0
        naive.append(0, step)
    driven.add(world.steps(vector_steps))
    assert driven.drawable() == (0, 46)
    assert_holds(driven, naive)
