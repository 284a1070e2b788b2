"""IQN: the quantile of the return at any given fraction."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.learning.heads.quantile import QuantileLearning, middles
from frankrl.learning.losses import quantile_huber
from frankrl.networks import Dense, DenseParams, Initializer


@dataclass(frozen=True)
class ImplicitHead(QuantileLearning):
    """The outputs are the quantiles of the return at the given fractions.

    Cosines of a fraction are embedded, and multiply the features of the first layer. A Q-value
    is the mean of the quantiles at `acting_fractions` evenly spaced fractions, so a state always
    has the same Q-values.

    Source: Dabney et al. (2018). https://arxiv.org/abs/1806.06923
    """

    num_cosines: int
    acting_fractions: int
    num_samples: int
    """Fractions sampled for each transition of an update."""
    huber_delta: float = 1.0
    rescaling: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "ImplicitHead":
        """The head that settings describe."""
        network, learning = settings.network, settings.learning
        return cls(
            network.iqn_cosines,
            network.iqn_acting_fractions,
            learning.iqn_samples,
            learning.huber_delta,
            learning.value_rescaling,
        )

    def fractions(self) -> Float[np.ndarray, " fraction"]:
        """Fractions at which quantiles are averaged for Q-values."""
        return middles(self.acting_fractions)

    @property
    def num_fractions(self) -> int:
        """See `Head.num_fractions`."""
        return self.num_samples

    def init(self, initializer: Initializer, num_features: int) -> DenseParams:
        """See `Head.init`."""
        return Dense(num_features).init(initializer, self.num_cosines)

    def condition(
        self,
        params: DenseParams,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None,
    ) -> Float[Any, "row feature"]:
        """A row for each observation and fraction: the features times the fraction's embedding."""
        xp, batch = features.__array_namespace__(), features.shape[0]
        if fractions is None:
            cosines = xp.asarray(self._acting_cosines)[None]
        else:
            cosines = self.embedding(fractions)
        factors = xp.maximum(cosines @ params.weight + params.bias, 0)
        return (features[:, None, :] * factors).reshape(batch * factors.shape[1], -1)

    def embedding(self, fractions: Float[Any, "*batch"]) -> Float[Any, "*batch cosine"]:
        """cos(π i τ) for i = 0, 1, … (eq. 4 of the paper)."""
        return _cosine_of_pi_times(
            fractions[..., None] * np.arange(self.num_cosines, dtype=np.float32)
        )

    @functools.cached_property
    def _acting_cosines(self) -> Float[np.ndarray, "fraction cosine"]:
        """Cosines of the fixed fractions for Q-values."""
        return np.asarray(self.embedding(self.fractions()))

    def arrange(
        self, outputs: Float[Any, "row action"], batch_size: int
    ) -> Float[Any, "batch action fraction"]:
        """See `Head.arrange`."""
        count = outputs.shape[0] // batch_size
        return outputs.reshape(batch_size, count, -1).swapaxes(1, 2)

    def losses(
        self,
        chosen: Float[Array, "batch fraction"],
        target: Float[Array, "batch target_fraction"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """See `Head.losses`."""
        assert fractions is not None
        return quantile_huber(chosen, fractions, target, self.huber_delta)

    @property
    def sized_by(self) -> tuple[str, ...]:
        """See `Head.sized_by`."""
        return ("iqn_samples", "iqn_acting_fractions")

    @property
    def next_value_note(self) -> str:
        """See `Head.next_value_note`."""
        return f", averaged over {self.num_samples} fractions sampled for the update"


def _cosine_of_pi_times(x: Float[Any, "*number"]) -> Float[Any, "*number"]:
    """cos(πx) within 10⁻⁶, from the series of the sine: cos(πx) = 1 - 2 sin²(πx/2).

    On the CPU, XLA calls a function for each cosine, which took half of an update of IQN.
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
