"""What every Q-network is."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Float, Shaped


class QNetwork(eqx.Module):
    """Estimates Q(s, a), the expected discounted return, for every action a.

    All leaves are arrays of one library. With NumPy leaves the network computes in
    NumPy, which is quickest for the few states of one acting step; with JAX leaves
    the same lines are traced and compiled for learning.
    """

    @abc.abstractmethod
    def __call__(self, observation: Shaped[Any, "batch *obs"]) -> Float[Any, "batch action"]:
        """Q-values of a batch of observations."""
