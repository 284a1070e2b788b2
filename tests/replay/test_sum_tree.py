"""The sum tree beside a list that is searched from its beginning each time."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.replay import find, init_tree, set_leaves, total

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


@st.composite
def histories(draw):
    num_leaves = draw(st.sampled_from([1, 2, 3, 7, 16, 17, 60, 300]))
    branching = draw(st.sampled_from([2, 3, 16]))
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
