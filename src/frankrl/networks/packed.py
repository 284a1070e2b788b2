"""A Q-network whose weights lie in one vector."""

import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
from jaxtyping import Float, PyTree, Shaped

from frankrl.networks.heads import Head
from frankrl.networks.q_network import QNetwork


class Layout(NamedTuple):
    """Where each array of a network lies in the vector."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class PackedNetwork(QNetwork):
    """A Q-network whose weights lie in one vector, in the order of its leaves.

    What is done to all weights alike (Adam, the clip, the target's copy, handing them
    to whoever acts) is then one operation instead of one for each layer; on a small
    network that is a third of an update.
    """

    weights: Float[Any, " weight"]
    layout: Layout = field(metadata={"static": True})

    @property
    def head(self) -> Head:
        return self.network().head

    @property
    def noise_size(self) -> int:
        return self.network().noise_size

    def perturbed(self, noise: Float[Any, " noise"]) -> QNetwork:
        return self.network().perturbed(noise)

    def network(self) -> QNetwork:
        """The network itself; with NumPy weights its arrays are views of the vector."""
        starts = (0, *self.layout.ends[:-1])
        leaves = [
            self.weights[start:end].reshape(shape)
            for start, end, shape in zip(starts, self.layout.ends, self.layout.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.layout.structure, leaves)

    def outputs(
        self,
        observation: Shaped[Any, "batch *obs"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        return self.network().outputs(observation, fractions)

    def q_values(
        self,
        outputs: Float[Any, "batch action *atom"],
        observation: Shaped[Any, "batch *obs"],
    ) -> Float[Any, "batch action"]:
        return self.network().q_values(outputs, observation)

    def with_weights(self, weights: Float[Any, " weight"]) -> "PackedNetwork":
        """The same network with other weights."""
        return PackedNetwork(weights, self.layout)


def pack(network: QNetwork) -> PackedNetwork:
    """The network with its weights copied into one vector."""
    leaves, structure = jax.tree.flatten(network)
    shapes = tuple(leaf.shape for leaf in leaves)
    ends = tuple(itertools.accumulate(leaf.size for leaf in leaves))
    return PackedNetwork(concatenated(network), Layout(structure, shapes, ends))


def concatenated(tree: PyTree) -> Float[Any, " weight"]:
    """All numbers of a network, or of its gradient, in one new vector."""
    leaves = jax.tree.leaves(tree)
    return leaves[0].__array_namespace__().concat([leaf.ravel() for leaf in leaves])
