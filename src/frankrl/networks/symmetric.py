"""A Q-network that treats mirror images alike, whatever its parameters are."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from frankrl.core.types import Observation, Params
from frankrl.environments import EnvironmentSpec, Symmetry, images_under
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.network import FeedForwardNetwork


@dataclass(frozen=True)
class SymmetricNetwork(FeedForwardNetwork):
    """Q(s)[a] = mean over g of N(g s)[g a]: the mean of a network N over the images of a state.

    So Q(g s)[g a] = Q(s)[a] for every symmetry g. The outputs of the head are averaged, atom by
    atom. The images of a batch go through the network as one larger batch.

    Source: van der Pol et al. (2020). https://arxiv.org/abs/2006.16908
    """

    network: FeedForwardNetwork
    """N; the parameters are its own."""
    group: tuple[Symmetry, ...]
    """All products of the symmetries, the identity first."""
    num_axes: tuple[int, ...]
    """Number of axes of each leaf of an observation, without a stack."""

    @classmethod
    def of(cls, network: FeedForwardNetwork, spec: EnvironmentSpec) -> "SymmetricNetwork":
        """A network with the symmetries of an environment."""
        group = images_under(spec.symmetries, spec.leaves, spec.num_actions)
        return cls(network, group, tuple(len(leaf.shape) for leaf in spec.leaves))

    @property
    def head(self) -> Head:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `QNetwork.head`."""
        return self.network.head

    def _init(self, initializer: Initializer) -> Params:
        return self.network._init(initializer)

    def apply(
        self,
        params: Any,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QFunction.apply`."""
        if fractions is not None:
            xp = fractions.__array_namespace__()
            fractions = xp.concat([fractions] * len(self.group), axis=0)
        outputs = self.network.apply(params, self._images(observation), fractions)
        outputs = outputs.reshape(len(self.group), -1, *outputs.shape[1:])
        xp, total = outputs.__array_namespace__(), outputs[0]
        for image, symmetry in zip(outputs[1:], self.group[1:], strict=True):
            total = total + xp.take(image, np.array(symmetry.actions), axis=1)
        return total * np.float32(1 / len(self.group))

    def _images(self, observation: Observation) -> Observation:
        """All images of a batch: first the batch itself, then its image by each symmetry."""
        if hasattr(observation, "shape"):
            return self._leaf_images(0, observation)
        leaves, structure = jax.tree.flatten(observation)
        found = [self._leaf_images(index, leaf) for index, leaf in enumerate(leaves)]
        return jax.tree.unflatten(structure, found)

    def _leaf_images(self, index: int, leaf: Any) -> Any:
        xp, axes = leaf.__array_namespace__(), self.num_axes[index]
        return xp.concat([g.leaves[index].image(leaf, axes) for g in self.group], axis=0)

    def relu_outputs(self, params: Any, observation: Observation) -> list[Float[Any, "batch unit"]]:
        """See `FeedForwardNetwork.relu_outputs`."""
        return self.network.relu_outputs(params, observation)

    @property
    def is_own_code(self) -> bool:
        """See `QNetwork.is_own_code`."""
        return self.network.is_own_code

    @property
    def repeats(self) -> bool:
        """See `QNetwork.repeats`."""
        return self.network.repeats

    @property
    def reads_pictures(self) -> bool:
        """See `QNetwork.reads_pictures`."""
        return self.network.reads_pictures

    @property
    def num_images(self) -> int:
        """See `QNetwork.num_images`."""
        return len(self.group)

    @functools.cached_property
    def num_products(self) -> int:
        """See `QNetwork.num_products`."""
        return len(self.group) * self.network.num_products
