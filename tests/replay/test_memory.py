"""The buffer takes the memory that it must, and no call takes as much a second time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.core.types import Steps
from frankrl.replay import (
    NewestSampler,
    PrioritisedSampler,
    ReplayBuffer,
    SampleRequest,
    UniformSampler,
    first_ending_rows,
)

BATCH, UPDATES = 4, 3
SAMPLERS = {
    "uniform": UniformSampler(BATCH),
    "newest": NewestSampler(BATCH),
    "prioritised": PrioritisedSampler(BATCH, 0.5, 1e-6, 0.4, 1_000),
}


def lander(sampler, capacity=250_000, num_envs=32, n_step=3):
    """The buffer of LunarLander, whose observations are 8 numbers."""
    return ReplayBuffer(capacity, num_envs, n_step, 0.99, sampler)


def init(buffer):
    observation = jax.ShapeDtypeStruct((8,), np.float32)
    return buffer.init(observation, None, first_ending_rows(buffer, buffer.num_envs))


def bytes_of(tree):
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def round_steps(buffer):
    count = buffer.num_envs
    observation = np.ones((2 * count, 8), np.float32)
    ends = np.arange(count) % 5 == 0
    return Steps(
        observation=observation,
        mask=None,
        action=np.ones(count, int),
        reward=np.ones(count, np.float32),
        is_last=ends,
        terminated=ends,
        last_observation=observation[:count],
        last_mask=None,
    )


def learn(buffer):
    """A round as the learner's compiled call has it: add, sample, learn something, set."""

    def compute(state, steps, draws):
        state = buffer.add(state, steps)
        sample, transitions = buffer.sample(state, draws)
        errors = jnp.abs(transitions.reward - jnp.sum(transitions.next_observation, axis=-1))
        return buffer.set_priorities(state, sample, errors), errors

    return jax.jit(compute, donate_argnums=0)


def draws(buffer, num_steps):
    first, end = buffer.drawable(num_steps)
    request = SampleRequest(0, UPDATES, first, end, buffer.num_envs, num_steps)
    return buffer.sampler.draws(0, request)


def test_a_transition_of_lunar_lander_takes_at_most_44_bytes():
    buffer = lander(UniformSampler(32))
    taken = bytes_of(jax.eval_shape(lambda: init(buffer)))
    # Of the observation once, action, reward, termination and ending; then room for endings.
    assert 32 + 2 + 4 + 1 + 4 < taken / buffer.capacity <= 44


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_round_needs_no_second_copy_of_the_buffer(name):
    buffer = lander(SAMPLERS[name])
    state, steps = init(buffer), round_steps(buffer)
    compiled = learn(buffer).lower(state, steps, draws(buffer, 96)).compile()
    memory = compiled.memory_analysis()
    assert memory.alias_size_in_bytes >= bytes_of(state)
    smallest_field = state.terminated.nbytes
    assert memory.temp_size_in_bytes < smallest_field


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_donated_buffer_is_written_where_it_lies(name):
    buffer = lander(SAMPLERS[name], capacity=5_000, num_envs=4)
    compute, steps = learn(buffer), round_steps(buffer)
    state = init(buffer)
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    for number in range(3, 6):
        given = state
        state, _ = compute(given, steps, draws(buffer, 4 * number))
        assert all(leaf.is_deleted() for leaf in jax.tree.leaves(given))
    assert [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)] == places


def test_no_two_parts_of_an_empty_buffer_share_their_memory():
    state = init(lander(SAMPLERS["prioritised"], capacity=5_000))
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
@pytest.mark.parametrize("shape", [(), (3,), (4, 4, 2)])
def test_a_leaf_is_stored_in_its_own_type_and_shape(shape, dtype):
    buffer = lander(UniformSampler(2), capacity=10, num_envs=1)
    state = jax.eval_shape(lambda: buffer.init(jax.ShapeDtypeStruct(shape, dtype), None, 2))
    assert state.observation.shape == (10 + 3 + 2, *shape)
    assert state.observation.dtype == dtype
