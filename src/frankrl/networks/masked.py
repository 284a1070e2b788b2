"""A Q-network that gives no Q-value to actions that are not allowed."""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from frankrl.environments.masks import split
from frankrl.networks.heads import Head
from frankrl.networks.q_network import QNetwork


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class MaskedQNetwork(QNetwork):
    """Another Q-network's values, and -∞ for every action that the state's mask forbids.

    Whoever takes a maximum of Q-values, to act or for a target, so passes over those
    actions and needs to know nothing of masks.
    """

    inner: QNetwork
    """Of the states alone."""
    state_shape: tuple[int, ...] = field(metadata={"static": True})

    @property
    def head(self) -> Head:
        return self.inner.head

    def outputs(
        self,
        observation: Shaped[Any, "batch number"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        states, _ = split(observation, self.state_shape)
        return self.inner.outputs(states, fractions)

    def q_values(
        self,
        outputs: Float[Any, "batch action *atom"],
        observation: Shaped[Any, "batch number"],
    ) -> Float[Any, "batch action"]:
        states, allowed = split(observation, self.state_shape)
        q_values = self.inner.q_values(outputs, states)
        return q_values.__array_namespace__().where(allowed, q_values, -np.inf)

    @property
    def noise_size(self) -> int:
        return self.inner.noise_size

    def perturbed(self, noise: Float[Any, " noise"]) -> "MaskedQNetwork":
        return MaskedQNetwork(self.inner.perturbed(noise), self.state_shape)
