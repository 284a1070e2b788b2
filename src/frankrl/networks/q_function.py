"""A Q-function: what the losses need of a network."""

import abc
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation, Params
from frankrl.networks.head import Head


class QFunction(abc.ABC):
    """Q(x, ·; θ), where x alone decides the outputs: an observation, or what is remembered."""

    head: Head
    """How the outputs for an action describe the return."""

    @abc.abstractmethod
    def apply(
        self,
        params: Any,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """Outputs for each action: a Q-value, or a distribution of the return.

        Args:
            params: θ; NumPy or JAX arrays, as the observations.
            observation: a batch of observations.
            fractions: fractions of the quantiles (only IQN); None: evenly spaced ones.
        """

    def q_values(
        self,
        params: Params,
        observation: Observation,
        mask: Bool[Any, "batch action"] | None = None,
    ) -> Float[Any, "batch action"]:
        """Q(s, ·; θ); -∞ for actions that are not allowed."""
        return masked(self.head.q_values(self.apply(params, observation)), mask)


def masked(
    q_values: Float[Any, "batch action"], mask: Bool[Any, "batch action"] | None
) -> Float[Any, "batch action"]:
    """Q-values with -∞ for every action that is not allowed, so that no maximum picks it."""
    if mask is None:
        return q_values
    return q_values.__array_namespace__().where(mask, q_values, -np.inf)
