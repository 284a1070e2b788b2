"""All parameters of a network in one vector."""

import itertools
from typing import Any, NamedTuple

import jax
from jaxtyping import Float

from frankrl.core.types import Params


class Layout(NamedTuple):
    """Position of each array of a network's parameters in one vector; hashable.

    Operations on all parameters alike (Adam, clipping, refreshing the target network, copying
    them to the policy) then take one operation instead of one per array, which saves a third of
    an update of a small network.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, params: Params) -> "Layout":
        """The layout of some parameters, or of their shapes."""
        leaves, structure = jax.tree.flatten(params)
        ends = tuple(itertools.accumulate(leaf.size for leaf in leaves))
        return cls(structure, tuple(leaf.shape for leaf in leaves), ends)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.ends[-1] if self.ends else 0

    def flatten(self, params: Params) -> Float[Any, " weight"]:
        """The parameters, or their gradient, in one new vector."""
        leaves = jax.tree.leaves(params)
        return leaves[0].__array_namespace__().concat([leaf.ravel() for leaf in leaves])

    def unflatten(self, vector: Float[Any, " weight"]) -> Params:
        """The reverse of `flatten`; the arrays are views if the vector is a NumPy array."""
        starts = (0, *self.ends[:-1])
        leaves = [
            vector[start:end].reshape(shape)
            for start, end, shape in zip(starts, self.ends, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)
