"""Priorities of the transitions in a buffer."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from frankrl.replay.sum_tree import SumTree, init_tree


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Priorities:
    """A priority for each transition; it is sampled in proportion to it.

    The transition that begins at env step s has leaf s modulo the buffer's capacity.
    """

    tree: SumTree
    largest: Float[Any, ""]
    """The largest priority so far, given to new transitions; starts at 1 and never decreases."""


def init_priorities(capacity: int) -> Priorities:
    """Priorities of an empty buffer: 0 for each leaf; the first transitions will get 1."""
    return Priorities(init_tree(capacity), jnp.ones((), jnp.float32))


def first_leaves(priorities: Priorities, count: int) -> Priorities:
    """The first leaves and the sums over them; all others are 0 if only these are filled.

    The sums are kept because summing the leaves again could change their last bits.
    """
    levels = []
    for level in priorities.tree.levels:
        count = -(-count // level.shape[1])
        levels.append(level[:count])
    return Priorities(SumTree(tuple(levels)), priorities.largest)


def whole_again(part: Priorities, capacity: int) -> Priorities:
    """The reverse of `first_leaves`, on the device."""
    levels = []
    for empty, found in zip(init_tree(capacity).levels, part.tree.levels, strict=True):
        rest = np.zeros((len(empty) - len(found), empty.shape[1]), empty.dtype)
        levels.append(jnp.array(np.concatenate([found, rest])))
    return Priorities(SumTree(tuple(levels)), jnp.array(part.largest))
