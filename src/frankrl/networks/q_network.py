"""What every Q-network is."""

import abc
from typing import Any

from jaxtyping import Float, Shaped

from frankrl.networks.heads import Head


class QNetwork(abc.ABC):
    """Estimates Q(s, a), the expected discounted return, for every action a.

    All leaves are arrays of one library. With NumPy leaves the network computes in
    NumPy, which is quickest for the few states of one acting step; with JAX leaves
    the same lines are traced and compiled for learning.
    """

    @property
    @abc.abstractmethod
    def head(self) -> Head:
        """How its output is read."""

    @abc.abstractmethod
    def outputs(
        self,
        observation: Shaped[Any, "batch *obs"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """What the last layer says of each action: its Q-value, or a distribution of the return.

        Args:
            observation: a batch of them.
            fractions: which quantiles are asked for (IQN alone); none: evenly spaced ones.
        """

    @abc.abstractmethod
    def q_values(
        self,
        outputs: Float[Any, "batch action *atom"],
        observation: Shaped[Any, "batch *obs"],
    ) -> Float[Any, "batch action"]:
        """The Q-values that outputs mean.

        Args:
            outputs: of these observations.
            observation: what they were computed from.
        """

    def __call__(self, observation: Shaped[Any, "batch *obs"]) -> Float[Any, "batch action"]:
        """Q-values of a batch of observations."""
        return self.q_values(self.outputs(observation), observation)

    @property
    def noise_size(self) -> int:
        """Standard normal numbers that one draw of its noise takes; 0: it has none."""
        return 0

    def perturbed(self, noise: Float[Any, " noise"]) -> "QNetwork":
        """The network under one draw of its noise."""
        raise TypeError(f"a {type(self).__name__} has no noise")
