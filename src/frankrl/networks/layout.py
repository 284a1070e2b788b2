"""Parameters in one vector, and back."""

import itertools
from typing import Any, NamedTuple

import jax
from jaxtyping import Float

from frankrl.core.types import Params


class Layout(NamedTuple):
    """Where each array of a network's parameters lies in one vector; hashable.

    What is done to all parameters alike (Adam, the clip, the target's copy, handing them to
    whoever acts) is then one operation instead of one for each array: a third of an update of
    a small network.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, params: Params) -> "Layout":
        """The layout of parameters, or of their shapes."""
        leaves, structure = jax.tree.flatten(params)
        ends = tuple(itertools.accumulate(leaf.size for leaf in leaves))
        return cls(structure, tuple(leaf.shape for leaf in leaves), ends)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.ends[-1] if self.ends else 0

    def flatten(self, params: Params) -> Float[Any, " weight"]:
        """All numbers of the parameters, or of their gradient, in one new vector."""
        leaves = jax.tree.leaves(params)
        return leaves[0].__array_namespace__().concat([leaf.ravel() for leaf in leaves])

    def unflatten(self, vector: Float[Any, " weight"]) -> Params:
        """The parameters themselves; of a NumPy vector they are views."""
        starts = (0, *self.ends[:-1])
        leaves = [
            vector[start:end].reshape(shape)
            for start, end, shape in zip(starts, self.ends, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)
