"""A sum tree: sampling in proportion to many numbers of which a few change at a time.

The leaves are arranged in rows; the sum of each row is an entry of the level above, and so on
up to a single row. A sum is always recomputed from the entries below it, never adjusted, so
rounding errors do not accumulate over a run.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

BRANCHING = 16
"""Entries per sum: more entries mean fewer levels, but more additions in each."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class SumTree:
    """Leaves and their sums; `levels[0]` holds the leaves, the last level has a single row."""

    levels: tuple[Float[Any, "_ branching"], ...]
    """Entry (i, j) of a level is the sum of row `branching · i + j` of the level below, or 0 if
    there is no such row."""


def init_tree(num_leaves: int, branching: int = BRANCHING) -> SumTree:
    """A tree with at least `num_leaves` leaves, all 0.

    Args:
        num_leaves: at least 1.
        branching: entries in a row, at least 2.
    """
    levels, entries = [], num_leaves
    while not levels or entries > 1:
        entries = -(-entries // branching)
        levels.append(jnp.zeros((entries, branching), jnp.float32))
    return SumTree(tuple(levels))


def total(tree: SumTree) -> Float[Array, ""]:
    """The sum of all leaves."""
    return jnp.sum(tree.levels[-1])


def set_leaves(
    tree: SumTree,
    indices: Integer[Array, " leaf"],
    values: Float[Array, " leaf"],
    is_real: Bool[Array, " leaf"],
) -> SumTree:
    """The tree with new values for some leaves; the sums above them are recomputed.

    Args:
        tree: donate it to the compiled call; otherwise all of it is copied.
        indices: leaves to set; if one occurs several times, the largest of its values is used.
        values: new values, 0 or more.
        is_real: false for entries of `indices` and `values` to ignore.
    """
    row, column = jnp.divmod(indices.astype(jnp.int32), tree.levels[0].shape[1])
    row = jnp.where(is_real, row, tree.levels[0].shape[0])
    emptied = tree.levels[0].at[row, column].set(0.0, mode="drop")
    levels = [emptied.at[row, column].max(values, mode="drop")]
    for above in tree.levels[1:]:
        below, branching = levels[-1], above.shape[1]
        if below.shape[0] <= row.size:
            sums = jnp.sum(below, axis=1)
            padded = jnp.pad(sums, (0, above.size - sums.size))
            levels.append(padded.reshape(above.shape))
            continue
        sums = jnp.sum(below.at[row].get(mode="clip"), axis=1)
        # An ignored row stays beyond the end of every level.
        parent = jnp.where(row < below.shape[0], row // branching, above.shape[0])
        levels.append(above.at[parent, row % branching].set(sums, mode="drop"))
        row = parent
    return SumTree(tuple(levels))


def find(
    tree: SumTree, begin: Float[Array, "*draw"], offset: Float[Array, "*draw"]
) -> tuple[Int[Array, "*draw"], Float[Array, "*draw"]]:
    """The leaf whose interval contains each target, and the leaf's value.

    The values of the leaves, one after the other, divide the line from 0 to `total` into
    intervals. A leaf of value 0 is found only if all leaves are 0. The value is returned because
    reading it a second time would keep XLA from setting leaves in place later.

    Args:
        tree: its total must be above 0.
        begin: a target is `begin + offset`, in [0, total). It is given in two parts, because the
            sum of a large and a small number loses the last bits of the small one. Since sums
            are rounded, a target within a few ulps of `total` of a boundary between two leaves
            may be assigned to either.
        offset: the rest of each target, 0 or more.
    """
    node, value = jnp.zeros(begin.shape, jnp.int32), begin
    for level in reversed(tree.levels):
        values = level.at[node].get(mode="promise_in_bounds")
        chosen, before, value = _chosen_child(values, begin + offset)
        begin = begin - before
        node = node * level.shape[1] + chosen
    return node, value


def _chosen_child(
    values: Float[Array, "*draw child"], target: Float[Array, "*draw"]
) -> tuple[Int[Array, "*draw"], Float[Array, "*draw"], Float[Array, "*draw"]]:
    """The child that contains each target, the sum of the children before it, and its value."""
    branching = values.shape[-1]
    child = jnp.arange(branching, dtype=jnp.int32)
    # A matrix product, because XLA's cumulative sum takes several passes on the CPU.
    up_to = jnp.triu(jnp.ones((branching, branching), values.dtype))
    ends = jnp.matmul(values, up_to, precision=jax.lax.Precision.HIGHEST)
    is_filled = values > 0
    reaches = is_filled & (ends > target[..., None])
    first = jnp.min(jnp.where(reaches, child, branching), axis=-1)
    # Rounding can put a target beyond the end of the last child; then it belongs to that child.
    last = jnp.max(jnp.where(is_filled, child, 0), axis=-1)
    chosen = jnp.where(first < branching, first, last)
    before = jnp.where(child < chosen[..., None], values, 0.0)
    value = jnp.where(child == chosen[..., None], values, 0.0)
    return chosen, jnp.sum(before, axis=-1), jnp.sum(value, axis=-1)
