"""QR-DQN: quantiles of the return at fixed fractions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.core.types import Transition
from frankrl.learning.losses import quantile_huber
from frankrl.learning.rescaling import RESCALING_NOTE
from frankrl.learning.targets import td_target
from frankrl.networks import Head


class QuantileLearning(Head):
    """Shared by the heads that learn quantiles of the return."""

    huber_delta: float
    """|TD error| above which the loss is linear. [reward]"""
    rescaling: bool
    """Whether returns are on the scale of value rescaling."""

    def q_values(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch"]:
        """See `Head.q_values`."""
        return outputs.mean(axis=-1)

    def target(
        self, transition: Transition, next_outputs: Float[Array, "batch quantile"]
    ) -> Float[Array, "batch quantile"]:
        """See `Head.target`."""
        return td_target(
            transition.reward, transition.discount, next_outputs, rescaling=self.rescaling
        )

    def target_mean(self, target: Float[Array, "batch quantile"]) -> Float[Array, " batch"]:
        """See `Head.target_mean`."""
        return jnp.mean(target, axis=-1)

    def priorities(
        self,
        losses: Float[Array, " batch"],
        td_errors: Float[Array, " batch"],
        target: Float[Array, "batch quantile"],
    ) -> Float[Array, " batch"]:
        """The loss. It stays above 0 for random returns, even with perfect predictions."""
        return losses

    @property
    def target_note(self) -> str:
        """See `Head.target_note`."""
        return RESCALING_NOTE if self.rescaling else ""

    @property
    def loss_name(self) -> str:
        """See `Head.loss_name`."""
        return f"quantile regression, linear beyond {self.huber_delta:g},"

    def distribution(
        self, outputs: Float[Any, "batch quantile"]
    ) -> Float[np.ndarray, "batch quantile"]:
        """See `Head.distribution`."""
        return np.asarray(outputs)

    def percentiles(
        self, distribution: Float[np.ndarray, " quantile"], percents: Sequence[float]
    ) -> Float[np.ndarray, " percent"]:
        """See `Head.percentiles`."""
        return np.percentile(distribution, percents, method="inverted_cdf")


@dataclass(frozen=True)
class QuantileHead(QuantileLearning):
    """The outputs are quantiles of the return, at the midpoints of equal parts of 0 … 1.

    Source: Dabney et al. (2018). https://arxiv.org/abs/1710.10044
    """

    num_quantiles: int
    huber_delta: float = 1.0
    rescaling: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "QuantileHead":
        """The head that settings describe."""
        learning = settings.learning
        return cls(settings.network.num_quantiles, learning.huber_delta, learning.value_rescaling)

    @property
    def atoms(self) -> int:
        """See `Head.atoms`."""
        return self.num_quantiles

    def fractions(self) -> Float[np.ndarray, " quantile"]:
        """Fraction τ̂ of each quantile."""
        return middles(self.num_quantiles)

    def losses(
        self,
        chosen: Float[Array, "batch quantile"],
        target: Float[Array, "batch target_quantile"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """See `Head.losses`."""
        own = jnp.broadcast_to(self.fractions(), chosen.shape)
        return quantile_huber(chosen, own, target, self.huber_delta)

    @property
    def sized_by(self) -> tuple[str, ...]:
        """See `Head.sized_by`."""
        return ("num_quantiles",)


def middles(count: int) -> Float[np.ndarray, " fraction"]:
    """Midpoints of `count` equal parts of 0 … 1."""
    return (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
