"""C51: the return distribution as probabilities of fixed returns."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.core.types import Transition
from frankrl.learning.rescaling import RESCALING_NOTE
from frankrl.learning.targets import td_target
from frankrl.networks import Head


@dataclass(frozen=True)
class CategoricalHead(Head):
    """The outputs are the logits of a distribution over fixed returns, the atoms.

    Source: Bellemare, Dabney & Munos (2017). https://arxiv.org/abs/1707.06887
    """

    num_atoms: int
    low: float
    high: float
    rescaling: bool = False
    """Whether returns are on the scale of value rescaling."""

    @classmethod
    def of(cls, settings: Settings) -> "CategoricalHead":
        """The head that settings describe.

        Raises:
            SettingError: the fixed returns lie too close together for single precision.
        """
        network = settings.network
        head = cls(
            network.num_atoms,
            network.value_min,
            network.value_max,
            settings.learning.value_rescaling,
        )
        if (np.diff(head.support) <= 0).any():
            raise SettingError(
                f"c51's {head.num_atoms:,} returns from value_min {head.low:g} to value_max "
                f"{head.high:g} are not all different in single precision: choose fewer num_atoms "
                "or a wider range"
            )
        return head

    @property
    def atoms(self) -> int:
        """See `Head.atoms`."""
        return self.num_atoms

    @functools.cached_property
    def support(self) -> Float[np.ndarray, " atom"]:
        """Returns of the atoms, evenly spaced."""
        return np.linspace(self.low, self.high, self.num_atoms, dtype=np.float32)

    def probabilities(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch atom"]:
        """Softmax of the logits."""
        xp = outputs.__array_namespace__()
        shares = xp.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return shares / shares.sum(axis=-1, keepdims=True)

    def q_values(self, outputs: Float[Any, "*batch atom"]) -> Float[Any, "*batch"]:
        """See `Head.q_values`."""
        return (self.probabilities(outputs) * self.support).sum(axis=-1)

    def target(
        self, transition: Transition, next_outputs: Float[Array, "batch atom"]
    ) -> Float[Array, "batch atom"]:
        """The distribution of r + discount · Z(s′), projected onto the atoms."""
        shape = (transition.reward.shape[0], self.num_atoms)
        support = jnp.broadcast_to(self.support, shape)
        moved = td_target(transition.reward, transition.discount, support, rescaling=self.rescaling)
        return jax.lax.stop_gradient(self.projected(moved, self.probabilities(next_outputs)))

    def projected(
        self, returns: Float[Array, "batch outcome"], probabilities: Float[Array, "batch outcome"]
    ) -> Float[Array, "batch atom"]:
        """A distribution over arbitrary returns, projected onto the atoms.

        The probability of each return is split between its two neighbouring atoms; the nearer
        one gets more. Returns beyond the ends are clipped to them.

        Source: Bellemare, Dabney & Munos (2017), eq. 7.
        """
        support = jnp.asarray(self.support)
        spacing = (self.high - self.low) / (self.num_atoms - 1)
        clipped = jnp.clip(returns, self.low, self.high)
        distance = jnp.abs(clipped[:, None, :] - support[:, None]) / spacing
        return jnp.sum(jnp.clip(1 - distance, 0, 1) * probabilities[:, None, :], axis=-1)

    def losses(
        self,
        chosen: Float[Array, "batch atom"],
        target: Float[Array, "batch atom"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """Cross-entropy of target and prediction."""
        return -jnp.sum(target * jax.nn.log_softmax(chosen, axis=-1), axis=-1)

    def target_mean(self, target: Float[Array, "batch atom"]) -> Float[Array, " batch"]:
        """See `Head.target_mean`."""
        return jnp.sum(target * self.support, axis=-1)

    def priorities(
        self,
        losses: Float[Array, " batch"],
        td_errors: Float[Array, " batch"],
        target: Float[Array, "batch atom"],
    ) -> Float[Array, " batch"]:
        """Kullback-Leibler divergence: the cross-entropy minus the entropy of the target."""
        return jnp.maximum(losses + jnp.sum(xlogy(target, target), axis=-1), 0.0)

    @property
    def sized_by(self) -> tuple[str, ...]:
        """See `Head.sized_by`."""
        return ("num_atoms",)

    @property
    def loss_name(self) -> str:
        """See `Head.loss_name`."""
        return "cross-entropy of the two distributions"

    @property
    def target_note(self) -> str:
        """See `Head.target_note`."""
        note = f"; {RESCALING_NOTE}" if self.rescaling else ""
        return (
            f"C51 clips returns to the range from {self.low:g} to {self.high:g}, "
            "so y is the mean of the clipped distribution"
            f"{note}"
        )

    def distribution(self, outputs: Float[Any, "batch atom"]) -> Float[np.ndarray, "batch atom"]:
        """See `Head.distribution`."""
        return np.asarray(self.probabilities(outputs))

    def percentiles(
        self, distribution: Float[np.ndarray, " atom"], percents: Sequence[float]
    ) -> Float[np.ndarray, " percent"]:
        """See `Head.percentiles`."""
        total = np.cumsum(distribution, dtype=np.float64)
        reached = np.searchsorted(total, np.array(percents) / 100)
        return self.support[np.minimum(reached, self.num_atoms - 1)]
