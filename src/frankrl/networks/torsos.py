"""Torsos: map one leaf of an observation to features."""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped

from frankrl.core.types import Params, Scaling
from frankrl.networks.initializer import Initializer
from frankrl.networks.scaling import scaled


@runtime_checkable
class Torso(Protocol):
    """Maps one leaf of an observation to features."""

    @property
    def num_features(self) -> int:
        """Number of features."""
        ...

    @property
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one leaf; 0 without weights."""
        ...

    def init(self, initializer: Initializer) -> Params:
        """Initial parameters; an empty tuple if there are none."""
        ...

    def apply(self, params: Any, leaf: Shaped[Any, "batch *shape"]) -> Float[Any, "batch feature"]:
        """The features."""
        ...


@dataclass(frozen=True)
class Flatten:
    """The components of a leaf, flattened and scaled; has no parameters."""

    shape: tuple[int, ...]
    scaling: Scaling

    @property
    def num_features(self) -> int:
        """See `Torso.num_features`."""
        return math.prod(self.shape)

    @property
    def num_products(self) -> int:
        """See `Torso.num_products`."""
        return 0

    def init(self, initializer: Initializer) -> Params:
        """See `Torso.init`."""
        return ()

    def apply(self, params: Any, leaf: Shaped[Any, "batch *shape"]) -> Float[Any, "batch feature"]:
        """See `Torso.apply`."""
        return scaled(leaf.reshape(leaf.shape[0], self.num_features), self.scaling)


@dataclass(frozen=True)
class OneHot:
    """One-hot encoding of each index; has no parameters."""

    num_values: tuple[int, ...]
    """Number of values that each index of the leaf can have, from 0."""

    @property
    def num_features(self) -> int:
        """See `Torso.num_features`."""
        return sum(self.num_values)

    @property
    def num_products(self) -> int:
        """See `Torso.num_products`."""
        return 0

    def init(self, initializer: Initializer) -> Params:
        """See `Torso.init`."""
        return ()

    def apply(self, params: Any, leaf: Int[Any, "batch *shape"]) -> Float[Any, "batch feature"]:
        """See `Torso.apply`."""
        xp, numbers = leaf.__array_namespace__(), leaf.reshape(leaf.shape[0], len(self.num_values))
        parts = [
            numbers[:, index, None] == np.arange(size, dtype=np.int32)
            for index, size in enumerate(self.num_values)
        ]
        together = parts[0] if len(parts) == 1 else xp.concat(parts, axis=1)
        return together.astype(np.float32)
