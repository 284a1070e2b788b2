"""The sum tree beside a list that is searched from its beginning each time."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.replay.sum_tree import find, init_tree, set_leaves, total

SET = jax.jit(set_leaves)
FIND = jax.jit(find)
BATCH = 6


class Naive:
    """The same by the slowest means: whole numbers, so that no sum is rounded."""

    def __init__(self, num_leaves):
        self.values = [0] * num_leaves

    def set(self, indices, values, is_real):
        told = {}
        for index, value, real in zip(indices, values, is_real, strict=True):
            if real:
                told[index] = max(told.get(index, 0), value)
        for index, value in told.items():
            self.values[index] = value

    def find(self, target):
        for index, value in enumerate(self.values):
            target -= value
            if target < 0:
                return index
        raise AssertionError("beyond the end")


SHAPES = [(1, 16), (2, 2), (7, 2), (17, 2), (3, 3), (60, 3), (16, 16), (17, 16), (300, 16)]
"""Leaves and branching: each shape is compiled anew, so they are few."""


@st.composite
def histories(draw):
    num_leaves, branching = draw(st.sampled_from(SHAPES))
    change = st.lists(
        st.tuples(st.integers(0, num_leaves - 1), st.integers(0, 50), st.booleans()),
        min_size=BATCH,
        max_size=BATCH,
    )
    return num_leaves, branching, draw(st.lists(change, min_size=1, max_size=8))


@given(history=histories(), seed=st.integers(0, 2**32 - 1))
@examples(150)
def test_tree_and_list_find_the_same_leaves_whatever_was_set_before(history, seed):
    num_leaves, branching, changes = history
    tree, naive = init_tree(num_leaves, branching), Naive(num_leaves)
    random = np.random.default_rng(seed)
    for change in changes:
        indices, values, is_real = (list(column) for column in zip(*change, strict=True))
        naive.set(indices, values, is_real)
        tree = SET(
            tree,
            np.array(indices, np.uint32),
            np.array(values, np.float32),
            np.array(is_real),
        )
        whole = sum(naive.values)
        assert total(tree) == whole
        flat = np.ravel(tree.levels[0])
        np.testing.assert_array_equal(flat[:num_leaves], naive.values)
        assert not flat[num_leaves:].any()
        if not whole:
            continue
        targets = random.integers(0, whole, BATCH)
        begin = random.integers(0, targets + 1)
        found, value = FIND(tree, np.float32(begin), np.float32(targets - begin))
        assert found.tolist() == [naive.find(target) for target in targets.tolist()]
        assert value.tolist() == [naive.values[leaf] for leaf in found.tolist()]


def test_every_sum_is_that_of_the_row_below_it_after_many_changes():
    random = np.random.default_rng(0)
    num_leaves = 5_000
    tree = init_tree(num_leaves)
    for _ in range(300):
        tree = SET(
            tree,
            random.integers(0, num_leaves, 64).astype(np.uint32),
            random.lognormal(0, 4, 64).astype(np.float32),
            np.ones(64, bool),
        )
    for below, above in zip(tree.levels, tree.levels[1:], strict=False):
        sums = np.asarray(jnp.sum(below, axis=1))
        np.testing.assert_allclose(np.ravel(above)[: sums.size], sums, rtol=1e-6)
        assert not np.ravel(above)[sums.size :].any()


def test_a_target_that_rounding_put_beyond_the_end_finds_the_last_leaf_with_a_value():
    values = np.array([0, 3, 0, 2, 0], np.float32)
    tree = SET(init_tree(5, 2), np.arange(5, dtype=np.uint32), values, np.ones(5, bool))
    found, value = FIND(tree, np.float32([5.0]), np.float32([0.5]))
    assert found.tolist() == [3]
    assert value.tolist() == [2.0]


def test_leaves_of_value_zero_are_never_found():
    values = np.zeros(1_000, np.float32)
    values[[17, 400, 999]] = [1e-6, 1e3, 0.1]
    tree = SET(init_tree(1_000), np.arange(1_000, dtype=np.uint32), values, np.ones(1_000, bool))
    whole = float(total(tree))
    targets = np.linspace(0, whole, 4_096, endpoint=False, dtype=np.float32)
    found, _ = FIND(tree, np.zeros_like(targets), targets)
    assert set(np.asarray(found).tolist()) <= {17, 400, 999}


def test_among_a_million_leaves_a_draw_misses_by_no_more_than_rounding():
    """Beside sums in double precision, for priorities that differ by many orders of magnitude."""
    count, batch = 1_000_000, 128
    random = np.random.default_rng(0)
    values = random.lognormal(0.0, 3.0, count).astype(np.float32)
    tree = jax.jit(set_leaves)(
        init_tree(count), jnp.arange(count), jnp.asarray(values), jnp.ones(count, bool)
    )
    whole = np.float32(total(tree))
    ends = np.cumsum(values.astype(np.float64))
    np.testing.assert_allclose(whole, ends[-1], rtol=1e-6)
    segment = np.float32(whole / batch)
    begin = np.broadcast_to(np.arange(batch, dtype=np.float32) * segment, (200, batch))
    offset = random.random((200, batch)).astype(np.float32) * segment
    found, told = jax.jit(find)(tree, jnp.asarray(begin), jnp.asarray(offset))
    found = np.asarray(found)
    np.testing.assert_array_equal(told, values[found])
    target = begin.astype(np.float64) + offset
    # How far outside of the leaf that was found the target lies on the exact line.
    outside = np.maximum(target - ends[found], ends[found] - values[found] - target)
    assert outside.max() <= 4 * np.spacing(whole)


def test_where_a_segment_begins_is_not_rounded_into_what_lies_in_it():
    """Leaves of 1 behind one of 2²⁴, beside which a float32 has no room for a half."""
    values = np.array([2.0**24, *[1.0] * 15, *[1.0] * 16], np.float32)
    tree = set_leaves(init_tree(32), jnp.arange(32), jnp.asarray(values), jnp.ones(32, bool))
    begin = jnp.full(16, tree.levels[1][0, 0])
    found, _ = find(tree, begin, jnp.arange(16) + jnp.float32(0.5))
    np.testing.assert_array_equal(found, np.arange(16, 32))
