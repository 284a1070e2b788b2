"""The encoder: maps whole observations to features."""

from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Float

from frankrl.core.types import Observation, Params
from frankrl.networks.initializer import Initializer
from frankrl.networks.own_functions import OwnTorso
from frankrl.networks.torsos import Torso


@dataclass(frozen=True)
class Encoder:
    """The torsos of a network, whose features stand side by side."""

    torsos: tuple[Torso, ...]
    """One for each leaf of an observation, in the order of `jax.tree.leaves`; or a single one that
    reads whole observations."""

    @property
    def num_features(self) -> int:
        """Number of features."""
        return sum(torso.num_features for torso in self.torsos)

    @property
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one observation."""
        return sum(torso.num_products for torso in self.torsos)

    @property
    def is_own_code(self) -> bool:
        """As `QNetwork.is_own_code`."""
        return isinstance(self.torsos[0], OwnTorso)

    @property
    def repeats(self) -> bool:
        """As `QNetwork.repeats`."""
        return all(torso.functions.repeats for torso in self.torsos if isinstance(torso, OwnTorso))

    @property
    def reads_pictures(self) -> bool:
        """As `QNetwork.reads_pictures`."""
        return self.num_products > 0

    def init(self, initializer: Initializer) -> tuple[Params, ...]:
        """Initial parameters of each torso."""
        return tuple(torso.init(initializer) for torso in self.torsos)

    def apply(
        self, params: tuple[Any, ...], observation: Observation
    ) -> Float[Any, "batch feature"]:
        """The features of a batch of observations; NumPy or JAX."""
        if len(self.torsos) == 1 and (hasattr(observation, "shape") or self.is_own_code):
            return self.torsos[0].apply(params[0], observation)
        leaves = jax.tree.leaves(observation)
        parts = [
            torso.apply(own, leaf)
            for torso, own, leaf in zip(self.torsos, params, leaves, strict=True)
        ]
        return parts[0].__array_namespace__().concat(parts, axis=1)
