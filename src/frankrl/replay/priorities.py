"""How likely each row of a buffer is to be drawn."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from frankrl.replay.sum_tree import SumTree, init_tree

BYTES_PER_PRIORITY = 5
"""What a row's priority takes, with its part of the sums over it, rounded up."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Priorities:
    """A number for each row of the buffer, in proportion to which it is drawn."""

    tree: SumTree
    largest: Float[Any, ""]
    """The largest priority so far, which a new row gets; it begins at 1 and never falls."""


def init_priorities(capacity: int) -> Priorities:
    """Those of an empty buffer: 0 for each row, and 1 for the first that come."""
    return Priorities(init_tree(capacity), jnp.ones((), jnp.float32))


def first_rows(priorities: Priorities, num_rows: int) -> Priorities:
    """What belongs to the first rows of the buffer: all else is 0 if they alone are filled.

    Sums are kept like leaves. Taken anew from the leaves they might differ in their last bits.
    """
    levels = []
    for level in priorities.tree.levels:
        num_rows = -(-num_rows // level.shape[1])
        levels.append(level[:num_rows])
    return Priorities(SumTree(tuple(levels)), priorities.largest)


def whole_again(part: Priorities, capacity: int) -> Priorities:
    """The reverse of `first_rows`, on the device that learns."""
    levels = []
    for empty, found in zip(init_tree(capacity).levels, part.tree.levels, strict=True):
        rest = np.zeros((len(empty) - len(found), empty.shape[1]), empty.dtype)
        levels.append(jnp.array(np.concatenate([found, rest])))
    return Priorities(SumTree(tuple(levels)), jnp.array(part.largest))
