"""A buffer in which chunks of different actors follow each other, beside plain lists."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from long_forms import some_of
from naive_replay import NUM_ACTIONS, NaiveReplay, World

from frankrl.experience.free_actor import with_ends
from frankrl.replay import EndingRoom, PrioritisedSampler, ReplayBuffer, UniformSampler
from frankrl.replay import with_ending_rows as with_rows

GAMMA, ALPHA, EPSILON = 0.5, 0.6, 1e-2
PRIORITISED = PrioritisedSampler(4, ALPHA, EPSILON, beta=0.4, beta_ticks=100)
SIZES = {
    # Environments of an actor, steps in a chunk, n, capacity.
    "one environment": (1, 4, 1, 9),
    "one step": (2, 1, 1, 7),
    "n steps": (2, 5, 3, 24),
    "n is the whole chunk": (3, 3, 3, 30),
    "many": (3, 4, 2, 40),
}


def chunk_of(world, num_steps, chance):
    """A chunk as the world gives it, and its last steps as truncations."""
    plain = [world.vector_step(chance, chance, chance) for _ in range(num_steps)]
    steps = with_ends(world.steps(plain), world.num_envs)
    for step in plain[-1]:
        step.truncated = step.truncated or not step.terminated
    return plain, steps


def append(naive, plain, n_step):
    """Every transition is finished within its chunk, in the order of env steps."""
    for number in range(len(plain)):
        for index in range(len(plain[0])):
            own = [vector_step[index] for vector_step in plain]
            naive.transitions.append(naive._finished(own[number : number + n_step]))


@functools.lru_cache
def compiled(buffer):
    return jax.jit(buffer.add), jax.jit(buffer.read)


@pytest.mark.parametrize("name", some_of(SIZES, ["n is the whole chunk", "many"]))
@given(
    order=st.lists(st.integers(0, 2), min_size=1, max_size=14),
    seed=st.integers(0, 1_000),
    chance=st.sampled_from([0.0, 0.2, 0.6]),
)
@examples(12)
def test_transitions_are_those_within_the_chunks_in_the_order_of_their_arrival(
    name, order, seed, chance
):
    num_envs, num_steps, n_step, capacity = SIZES[name]
    worlds = [World(num_envs, "dict", masked=True, seed=seed + actor) for actor in range(3)]
    sampler = UniformSampler(2)
    buffer = ReplayBuffer(capacity, num_envs, n_step, GAMMA, sampler, rounds_end_episodes=True)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), worlds[0].observation(0)
    )
    state = buffer.init(shapes, NUM_ACTIONS, 16)
    add, read = compiled(buffer)
    room, naive = EndingRoom(buffer, state), NaiveReplay(capacity, num_envs, n_step, GAMMA)
    for actor in order:
        plain, steps = chunk_of(worlds[actor], num_steps, chance)
        if rows := room.grown_to(steps.is_last):
            state = with_rows(state, rows)
        state = add(state, steps)
        append(naive, plain, n_step)
    first, end = buffer.drawable(int(state.num_steps))
    assert end == int(state.num_steps), "every transition can be drawn at once"
    assert end - first == len(naive.transitions)
    # The newest again and again, so that there is one length to compile for.
    env_steps = np.minimum(first + np.arange(capacity), end - 1).astype(np.uint32)
    found = read(state, env_steps)
    jax.tree.map(np.testing.assert_array_equal, found, naive.batch(capacity))


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_the_end_of_a_chunk_is_stored_like_a_truncation(chance):
    """As the world gives it where those steps are truncations."""
    for seed in range(10):
        world = World(3, "dict", masked=True, seed=seed)
        plain, found = chunk_of(world, 4, chance)
        expected, count = world.steps(plain), int(found.is_last.sum())
        assert found.is_last[-3:].all()
        for name in ("observation", "mask", "action", "reward", "is_last", "terminated"):
            jax.tree.map(
                np.testing.assert_array_equal, getattr(found, name), getattr(expected, name)
            )
        for name in ("last_observation", "last_mask"):
            cut = (
                jax.tree.map(lambda leaf: leaf[:count], getattr(steps, name))  # noqa: B023
                for steps in (found, expected)
            )
            jax.tree.map(np.testing.assert_array_equal, *cut)


def test_first_priorities_are_those_of_the_errors_given():
    """Beside NumPy: (error + ε)^α for each, and the largest so far where none are given."""
    capacity, num_envs, num_steps = 20, 2, 3
    random = np.random.default_rng(0)
    world = World(num_envs, "lone", masked=False, seed=1)
    buffer = ReplayBuffer(capacity, num_envs, 2, GAMMA, PRIORITISED, rounds_end_episodes=True)
    state = buffer.init(jax.ShapeDtypeStruct((2,), np.float32), None, 64)
    leaves, largest, at = np.zeros(capacity), 1.0, 0
    for number in range(9):
        _, steps = chunk_of(world, num_steps, 0.2)
        count = num_envs * num_steps
        errors = random.exponential(2.0, count).astype(np.float32) if number % 3 else None
        state = compiled(buffer)[0](state, steps._replace(errors=errors))
        given = np.full(count, largest) if errors is None else (errors + EPSILON) ** ALPHA
        leaves[(at + np.arange(count)) % capacity] = given
        largest, at = max(largest, given.max()), at + count
        assert state.priorities is not None
        found = np.ravel(state.priorities.tree.levels[0])[:capacity]
        np.testing.assert_allclose(found, leaves, rtol=1e-6)
        assert float(state.priorities.largest) == pytest.approx(largest, rel=1e-6)
        whole = sum(np.ravel(state.priorities.tree.levels[-1]))
        assert whole == pytest.approx(leaves.sum(), rel=1e-6)
