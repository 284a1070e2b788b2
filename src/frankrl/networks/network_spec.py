"""What a network of the user's own is made for."""

from dataclasses import dataclass, field
from typing import Any

import jax

from frankrl.core.types import Observation
from frankrl.environments import Leaf, Structure, together


@dataclass(frozen=True)
class NetworkSpec:
    """What a network, or a torso, of your own gets and must give. It compares by value."""

    num_actions: int
    """Number of actions."""
    num_atoms: int | None
    """Outputs for each action: C51's logits, or QR-DQN's quantiles; None: one Q-value each."""
    leaves: tuple[Leaf, ...]
    """The leaves of an observation, in the order of `jax.tree.leaves`: name, shape without a
    stack, dtype, bounds, and the number of values of each index."""
    frame_stack: int = 1
    """Newest observations that the network gets together, along an axis in front of each leaf's
    own, the oldest first; 1: there is no such axis."""
    structure: Structure = field(default=0, repr=False, hash=False)
    """How the leaves form an observation; 0: the only leaf is the observation."""

    @property
    def observation(self) -> Any:
        """One observation as a pytree of `jax.ShapeDtypeStruct`, without the axis of the batch."""
        return self._of_shape(())

    def batch(self, size: int) -> Observation:
        """A batch of so many observations, likewise."""
        return self._of_shape((size,))

    def _of_shape(self, in_front: tuple[int, ...]) -> Any:
        stack = (self.frame_stack,) if self.frame_stack > 1 else ()
        leaves = [
            jax.ShapeDtypeStruct((*in_front, *stack, *leaf.shape), leaf.dtype)
            for leaf in self.leaves
        ]
        return together(self.structure, leaves)
