"""What a network's output says of the return: its mean alone, or how it is distributed.

A head turns the output into Q-values, so everything that acts needs nothing else. All
arrays are of NumPy or of JAX.
"""

import abc
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Head(abc.ABC):
    """How the numbers that belong to one action are read."""

    @property
    @abc.abstractmethod
    def atoms(self) -> int | None:
        """Numbers that the last layer gives for each action; none: a single one."""

    @abc.abstractmethod
    def q_values(self, outputs: Float[Any, "..."]) -> Float[Any, "..."]:
        """The mean of what the numbers say, over their last axis if they are several."""


@dataclass(frozen=True)
class ExpectedHead(Head):
    """The output is Q(s, a) itself."""

    @property
    def atoms(self) -> None:
        return None

    def q_values(self, outputs: Float[Any, "*batch"]) -> Float[Any, "*batch"]:
        return outputs


@dataclass(frozen=True)
class CategoricalHead(Head):
    """The output is a distribution over fixed returns, as logits (C51).

    Source: Bellemare, Dabney & Munos (2017). https://arxiv.org/abs/1707.06887
    """

    num_atoms: int
    low: float
    high: float

    @property
    def atoms(self) -> int:
        return self.num_atoms

    def support(self) -> Float[np.ndarray, " atom"]:
        """The returns that the atoms stand for, evenly spaced."""
        return np.linspace(self.low, self.high, self.num_atoms, dtype=np.float32)

    def probabilities(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch atom"]:
        """What the logits say."""
        xp = outputs.__array_namespace__()
        shares = xp.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)

    def q_values(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch"]:
        return (self.probabilities(outputs) * self.support()).sum(axis=-1)


@dataclass(frozen=True)
class QuantileHead(Head):
    """The output is the return's quantiles, at the middles of equal shares (QR-DQN).

    Source: Dabney et al. (2018). https://arxiv.org/abs/1710.10044
    """

    num_quantiles: int

    @property
    def atoms(self) -> int:
        return self.num_quantiles

    def fractions(self) -> Float[np.ndarray, " quantile"]:
        """τ̂ of each quantile."""
        return middles(self.num_quantiles)

    def q_values(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch"]:
        return outputs.mean(axis=-1)


@dataclass(frozen=True)
class ImplicitHead(Head):
    """The output is the return's quantile at a fraction that the network is asked for (IQN).

    Source: Dabney et al. (2018). https://arxiv.org/abs/1806.06923
    """

    num_cosines: int
    acting_fractions: int
    """Fractions that are averaged where Q-values are wanted; evenly spaced, so that the same
    state gives the same Q-values."""

    @property
    def atoms(self) -> None:
        return None

    def fractions(self) -> Float[np.ndarray, " fraction"]:
        """Those asked for where Q-values are wanted."""
        return middles(self.acting_fractions)

    def embedding(self, fractions: Float[Any, "*batch"]) -> Float[Any, "*batch cosine"]:
        """cos(π i τ) for i = 0, 1, … (eq. 4 there)."""
        return _cosine_of_pi_times(
            fractions[..., None] * np.arange(self.num_cosines, dtype=np.float32)
        )

    def q_values(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch"]:
        return outputs.mean(axis=-1)


def _cosine_of_pi_times(x: Float[Any, "*number"]) -> Float[Any, "*number"]:
    """cos(πx) within 10⁻⁶, by the series of the sine: cos(πx) = 1 - 2 sin²(πx/2).

    XLA's cosine is a call for each number on the CPU, and was half of an update of IQN.
    """
    xp = x.__array_namespace__()
    turned = x - 2 * xp.round(x / 2)
    square = turned * turned
    sine = xp.zeros_like(x)
    for power in reversed(range(7)):
        term = (-1) ** power * (math.pi / 2) ** (2 * power + 1) / math.factorial(2 * power + 1)
        sine = sine * square + np.float32(term)
    sine = sine * turned
    return 1 - 2 * sine * sine


def middles(count: int) -> Float[np.ndarray, " fraction"]:
    """The middles of `count` equal parts of 0 … 1."""
    return (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
