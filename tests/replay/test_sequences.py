"""Sequences of the replay buffer beside those of whole episodes in lists."""

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
    assert_holds_after_each,
    compiled_read,
    play,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from long_forms import some_of
from naive_replay import World
from naive_sequences import NaiveSequences

from frankrl.core.types import SequenceSpec
from frankrl.replay import (
    PrioritisedSampler,
    ReplayBuffer,
    Sample,
    SampleRequest,
    UniformSampler,
    fault_in_steps,
    steps_of,
)


class Setup(NamedTuple):
    """A buffer of sequences, and what kind of world fills it."""

    num_envs: int
    n_step: int
    burn_in: int
    learned: int
    capacity: int
    kind: str = "lone"
    masked: bool = False
    sampler: UniformSampler | PrioritisedSampler = UNIFORM
    frame_stack: int = 1
    vector_steps: int = 2
    begin: int = 0

    @property
    def spec(self):
        return SequenceSpec(self.burn_in, self.learned, memory_units=3, priority_share=0.9)

    def buffer(self):
        sizes = self.capacity, self.num_envs, self.n_step, GAMMA, self.sampler, self.frame_stack
        return ReplayBuffer(*sizes, first_env_step=self.begin, sequences=self.spec)

    def naive(self):
        before = self.burn_in + self.frame_stack - 1
        skipped = before * self.num_envs if self.begin else 0
        sizes = self.capacity, self.num_envs, self.n_step, GAMMA, self.frame_stack
        return NaiveSequences(self.spec, *sizes, skipped)

    def world(self, seed):
        return World(self.num_envs, self.kind, masked=self.masked, seed=seed)

    def driven(self, world):
        return DrivenBuffer(self.buffer(), world)

    def filled(self, num_rounds, ends, seed=4):
        """The buffer, and the lists, after so many rounds."""
        world, naive = self.world(seed), self.naive()
        driven = self.driven(world)
        for _ in range(num_rounds):
            play(world, naive, [driven], self.vector_steps, ends)
        return naive, driven


SETUPS = {
    "one_step": Setup(1, 1, 0, 1, 5),
    "no_burn_in": Setup(2, 1, 0, 3, 9, "dict", True),
    "burn_in": Setup(1, 1, 3, 2, 6),
    "several_envs": Setup(3, 1, 2, 4, 11, "dict", True, PRIORITISED, vector_steps=3),
    "n_step": Setup(2, 3, 2, 3, 13, "lone", True),
    "n_beyond_the_sequence": Setup(1, 5, 1, 2, 7, "dict", False, PRIORITISED),
    "stack": Setup(2, 2, 2, 3, 10, "lone", False, frame_stack=3),
    "begun_later": Setup(2, 2, 3, 2, 8, "lone", True, PRIORITISED, 2, begin=22),
}
SOME = ("several_envs", "stack")


@pytest.mark.parametrize("name", some_of(SETUPS, SOME))
@examples(10)
@given(operations=st.lists(OPERATIONS, max_size=10), seed=st.integers(0, 2**32 - 1))
def test_every_sequence_is_that_of_whole_episodes_whatever_was_done_before(name, operations, seed):
    assert_holds_after_each(operations, SETUPS[name], seed)


def test_sequences_of_one_step_without_burn_in_are_the_transitions():
    """The same steps through the other reading, to the same bits."""
    setup = SETUPS["one_step"]._replace(n_step=3, capacity=20, num_envs=2, masked=True)
    _, driven = setup.filled(7, (0.2, 0.2, 0.2), seed=3)
    first, end = driven.drawable()
    env_steps = jnp.arange(first, end, dtype=jnp.uint32)
    sequences = compiled_read(driven.buffer)(driven.state, env_steps)
    transitions = jax.jit(driven.buffer.read)(driven.state, env_steps)
    rows = np.arange(end - first)
    arrived = np.asarray(sequences.arrival)[:, 0]
    found = (
        sequences.observation[:, 0],
        sequences.action[:, 0],
        sequences.reward[:, 0],
        sequences.observation[rows, arrived],
        sequences.discount[:, 0],
        sequences.mask[:, 0],
        sequences.mask[rows, arrived],
    )
    for one, other in zip(found, transitions, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_env_step_is_drawn_equally_often_before_it_is_moved():
    setup = SETUPS["several_envs"]._replace(capacity=30)
    sampler = UniformSampler(64)
    buffer = setup._replace(sampler=sampler).buffer()
    num_steps = 60
    first, end = buffer.drawable(num_steps)
    assert (first, end) == (num_steps - 3 * 3 - 30, num_steps - 3 * 3)
    draws = sampler.draws(5, SampleRequest(0, 500, first, end, 9, num_steps))
    counts = np.bincount(draws.ravel() - first, minlength=30)
    assert len(counts) == 30
    expected = 500 * 64 / 30
    assert np.abs(counts - expected).max() < 5 * expected**0.5


@pytest.mark.parametrize("name", some_of(SETUPS, ["several_envs", "no_burn_in", "begun_later"]))
def test_a_start_less_than_a_burn_in_after_its_episodes_start_is_moved_there(name):
    setup = SETUPS[name]
    naive, driven = setup.filled(12, (0.1, 0.1))
    first, end = driven.drawable()
    drawn = jnp.arange(first, end, dtype=jnp.uint32)
    found = jax.jit(driven.buffer.first_learned)(driven.state, drawn)
    places = np.array([place for _, place in naive.starts])
    moved = np.where(places < setup.burn_in, places, 0)
    np.testing.assert_array_equal(found, np.arange(first, end) - moved * setup.num_envs)
    assert (moved > 0).any() == (setup.burn_in > 1)


@pytest.mark.parametrize("name", some_of(["several_envs", "begun_later"], ["several_envs"]))
def test_a_sequence_gets_its_priority_under_every_env_step_that_draws_it(name):
    setup = SETUPS[name]
    naive, driven = setup.filled(12, (0.1, 0.1))
    first, end = driven.drawable()
    set_priorities = jax.jit(driven.buffer.set_priorities)

    def sequence(start):
        episode, place = start
        return id(episode), place if place >= setup.burn_in else 0

    sequences, alike = [sequence(start) for start in naive.starts], 0
    for number, drawn in enumerate(range(first, end)):
        sample = Sample(jnp.full((1, 1), drawn, jnp.uint32), None, None)
        found = set_priorities(driven.state, sample, jnp.full((1, 1), 7.0))
        leaves = np.ravel(found.priorities.tree.levels[0])
        changed = [leaves[env_step % setup.capacity] == 7.5 for env_step in range(first, end)]
        assert changed == [other == sequences[number] for other in sequences]
        alike += sum(changed) - 1
        assert (leaves > 0).sum() == end - first
    assert alike


def test_the_first_steps_of_an_episode_are_learned_about_half_as_often_as_the_others():
    """And not once in T times, as if every start stayed where it is."""
    setup = Setup(1, 1, burn_in=10, learned=20, capacity=300, vector_steps=300)
    _, driven = setup.filled(1, (0, 0))
    first, end = driven.drawable()
    assert first == 0
    drawn = jnp.arange(first, end, dtype=jnp.uint32)
    begun = np.asarray(jax.jit(driven.buffer.first_learned)(driven.state, drawn))
    learned = np.bincount((begun[:, None] + np.arange(20)).ravel())[: end - 20]
    assert (learned[:10] == 10).all()
    assert learned.min() == 10
    assert (learned[30:] == 20).all()


@pytest.mark.parametrize("value", [np.nan, 1.5, -np.inf])
def test_a_memory_that_no_unit_can_have_is_found(value):
    _, driven = SETUPS["several_envs"].filled(2, (0.3, 0.3), seed=0)
    steps = steps_of(driven.state, np.arange(12))
    assert fault_in_steps(steps, 100, 2**16) is None
    memory = steps.memory.copy()
    memory[5, 1] = value
    found = fault_in_steps(steps._replace(memory=memory), 100, 2**16)
    assert found == "a memory beyond -1 … 1"
