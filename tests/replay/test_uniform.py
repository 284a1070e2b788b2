import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.core.types import QuadrupleBatch
from frankrl.replay import (
    add,
    bytes_per_transition,
    gather,
    init_replay,
    newest_indices,
    sample_indices,
)

SHAPE, DTYPE = (2,), np.dtype(np.float32)
SEED = 3
BEGIN = 1_000_000


def add_rows(state, rows, count):
    """Row number i begins with env step BEGIN + i."""
    return add(state, rows, BEGIN + jnp.asarray(rows.action, jnp.uint32), count)


ADD = jax.jit(add_rows)


def rows_of(ids):
    """Quadruples that carry their id in every field."""
    ids = np.asarray(ids, np.int64)
    return QuadrupleBatch(
        observation=np.stack([ids, -ids], axis=1).astype(np.float32),
        action=ids.astype(np.uint16),
        reward=(ids / 2).astype(np.float32),
        next_observation=np.stack([ids + 0.25, ids], axis=1).astype(np.float32),
        terminated=ids % 2 == 1,
        num_steps=(ids % 256).astype(np.uint8),
    )


def assert_holds(batch, ids):
    for found, expected in zip(jax.tree.leaves(batch), jax.tree.leaves(rows_of(ids)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def filled(capacity, count):
    state = init_replay(capacity, SHAPE, DTYPE)
    for first in range(0, count, capacity):
        ids = np.arange(first, min(first + capacity, count))
        state = ADD(state, rows_of(ids), np.uint32(len(ids)))
    return state


@examples(60)
@given(
    capacity=st.sampled_from([4, 5, 12]),
    counts=st.lists(st.integers(0, 4), max_size=15),
)
def test_the_ring_holds_what_a_bounded_deque_holds(capacity, counts):
    state, next_id = init_replay(capacity, SHAPE, DTYPE), 1
    naive = collections.deque(maxlen=capacity)
    for count in counts:
        ids = list(range(next_id, next_id + 4))
        state = ADD(state, rows_of(ids), np.uint32(count))
        naive.extend(ids[:count])
        next_id += count
    assert int(state.num_added) == sum(counts)
    slots = [(sum(counts) - len(naive) + i) % capacity for i in range(len(naive))]
    stored = jax.tree.map(np.asarray, state.quadruples)
    assert np.asarray(state.begun)[slots].tolist() == [BEGIN + row for row in naive]
    assert_holds(jax.tree.map(lambda field: field[slots], stored), list(naive))
    untouched = [slot for slot in range(capacity) if slot not in slots]
    assert not any(field[untouched].any() for field in jax.tree.leaves(stored))


def test_a_batch_as_large_as_the_buffer_replaces_all_of_it():
    state = ADD(filled(5, 7), rows_of(np.arange(20, 25)), np.uint32(5))
    assert sorted(np.asarray(state.quadruples.action)) == [20, 21, 22, 23, 24]


def test_adding_the_state_donated_gives_the_same():
    donated = jax.jit(add_rows, donate_argnums=0)
    state = init_replay(5, SHAPE, DTYPE)
    for first in (0, 3, 6):
        state = donated(state, rows_of(np.arange(first, first + 3)), np.uint32(3))
    assert_holds(state.quadruples, [5, 6, 7, 8, 4])


@pytest.mark.parametrize(("shape", "dtype"), [((), np.float32), ((2, 3), np.uint8)])
def test_observations_of_any_shape_and_type_are_stored(shape, dtype):
    random = np.random.default_rng(0)
    observation = random.integers(0, 255, (3, *shape)).astype(dtype)
    rows = rows_of(np.arange(3))
    rows = QuadrupleBatch(
        observation, rows.action, rows.reward, observation + 1, rows.terminated, rows.num_steps
    )
    state = add_rows(init_replay(4, shape, np.dtype(dtype)), rows, jnp.uint32(3))
    np.testing.assert_array_equal(state.quadruples.observation[:3], observation)
    np.testing.assert_array_equal(state.quadruples.next_observation[:3], observation + 1)


@pytest.mark.parametrize(("shape", "dtype"), [((8,), np.float32), ((4, 9), np.uint8)])
def test_bytes_per_transition_is_what_the_arrays_take(shape, dtype):
    state = init_replay(10, shape, np.dtype(dtype))
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves((state.quadruples, state.begun)))
    assert 10 * bytes_per_transition(shape, np.dtype(dtype)) == taken


@pytest.mark.parametrize("fill", [1, 3, 8])
def test_only_filled_rows_are_sampled_and_all_of_them(fill):
    assert set(sample_indices(SEED, 0, 4, 100, fill).ravel()) == set(range(fill))


@pytest.mark.parametrize("fill", [7, 50])
def test_sampling_is_uniform_over_the_filled_rows(fill):
    observed = np.bincount(sample_indices(SEED, 0, 200, 250, fill).ravel(), minlength=fill)
    assert scipy.stats.chisquare(observed).pvalue > 1e-3


def test_the_rows_of_one_batch_are_independent_of_each_other():
    indices = sample_indices(SEED, 0, 5_000, 2, 5)
    pairs = np.bincount(indices[:, 0] * 5 + indices[:, 1], minlength=25)
    assert scipy.stats.chisquare(pairs).pvalue > 1e-3


@pytest.mark.parametrize("first", [0, 17, 1_000_000])
@pytest.mark.parametrize("batch_size", [1, 16, 100_000])
def test_drawing_for_several_updates_at_once_equals_drawing_one_by_one(first, batch_size):
    together = sample_indices(SEED, first, 6, batch_size, 30)
    alone = [sample_indices(SEED, first + i, 1, batch_size, 30)[0] for i in range(6)]
    np.testing.assert_array_equal(together, alone)


def test_another_seed_update_or_fill_gives_other_indices():
    base = sample_indices(SEED, 5, 2, 16, 30)
    for other in (
        sample_indices(SEED, 5, 2, 16, 31),
        sample_indices(SEED + 1, 5, 2, 16, 30),
        sample_indices(SEED, 6, 2, 16, 30),
    ):
        assert not np.array_equal(base, other)


def test_gathering_packed_indices_gives_a_batch_per_update():
    state = filled(8, 8)
    indices = jnp.array([[1, 7], [3, 3], [0, 2]], jnp.uint32)
    batches = gather(state, indices)
    assert batches.observation.shape == (3, 2, 2)
    for number in range(3):
        assert_holds(jax.tree.map(lambda x, n=number: x[n], batches), np.asarray(indices[number]))


@examples(200)
@given(
    capacity=st.integers(3, 12),
    batch_size=st.integers(1, 3),
    rounds=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=12),
)
def test_the_newest_rows_are_those_at_the_end_of_a_list(capacity, batch_size, rounds):
    """Against a list of ids: each update learns from its last ones, once all are there."""
    held, ids = {}, []
    for count, num_updates in rounds:
        before = len(ids)
        for _ in range(count):
            held[len(ids) % capacity] = len(ids)
            ids.append(len(ids))
        found = newest_indices(len(ids), count, num_updates, 4, batch_size, capacity)
        assert found.shape == (4, batch_size)
        for update in range(1, num_updates + 1):
            seen = max(before + update * count // num_updates, 1)
            # All rows of a round are added before its updates begin.
            seen = max(seen, min(len(ids), len(ids) - capacity + batch_size))
            chosen = [held[row] for row in found[update - 1].tolist()]
            if seen >= batch_size:
                assert chosen == ids[seen - batch_size : seen]
            else:
                assert set(chosen) == set(ids[:seen])
        if num_updates and len(ids) >= batch_size:
            assert held[found[num_updates - 1, -1]] == ids[-1]
