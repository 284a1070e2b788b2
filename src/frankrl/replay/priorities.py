"""How likely each transition of a buffer is to be drawn."""

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
    """A number for each transition, in proportion to which it is drawn.

    Env step s has the leaf s modulo the buffer's capacity.
    """

    tree: SumTree
    largest: Float[Any, ""]
    """The largest priority so far, which a new transition gets; it begins at 1, never falls."""


def init_priorities(capacity: int) -> Priorities:
    """Those of an empty buffer: 0 for each leaf, and 1 for the first transitions that come."""
    return Priorities(init_tree(capacity), jnp.ones((), jnp.float32))


def first_leaves(priorities: Priorities, count: int) -> Priorities:
    """What belongs to the first leaves: all else is 0 if they alone are filled.

    Sums are kept like leaves. Taken anew from the leaves they might differ in their last bits.
    """
    levels = []
    for level in priorities.tree.levels:
        count = -(-count // level.shape[1])
        levels.append(level[:count])
    return Priorities(SumTree(tuple(levels)), priorities.largest)


def whole_again(part: Priorities, capacity: int) -> Priorities:
    """The reverse of `first_leaves`, on the device that learns."""
    levels = []
    for empty, found in zip(init_tree(capacity).levels, part.tree.levels, strict=True):
        rest = np.zeros((len(empty) - len(found), empty.shape[1]), empty.dtype)
        levels.append(jnp.array(np.concatenate([found, rest])))
    return Priorities(SumTree(tuple(levels)), jnp.array(part.largest))
