"""The expected return only: the notes' Q-value."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.core.types import Transition
from frankrl.learning.losses import huber, squared
from frankrl.learning.rescaling import RESCALING_NOTE
from frankrl.learning.targets import td_target
from frankrl.networks import Head


@dataclass(frozen=True)
class ExpectedHead(Head):
    """The output is Q(s, a) itself; its loss is (y - Q)², or the Huber loss."""

    huber_delta: float | None = None
    """|TD error| above which the loss is linear; None: the squared error everywhere. [reward]"""
    rescaling: bool = False
    """Whether returns are on the scale of value rescaling."""

    @classmethod
    def of(cls, settings: Settings) -> "ExpectedHead":
        """The head that settings describe."""
        learning = settings.learning
        delta = learning.huber_delta if learning.loss == "huber" else None
        return cls(delta, learning.value_rescaling)

    def q_values(self, outputs: Float[Any, "*batch"]) -> Float[Any, "*batch"]:
        """See `Head.q_values`."""
        return outputs

    def target(
        self, transition: Transition, next_outputs: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        """See `Head.target`."""
        return td_target(
            transition.reward, transition.discount, next_outputs, rescaling=self.rescaling
        )

    def losses(
        self,
        chosen: Float[Array, " batch"],
        target: Float[Array, " batch"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """See `Head.losses`."""
        td_error = target - chosen
        return squared(td_error) if self.huber_delta is None else huber(td_error, self.huber_delta)

    def target_mean(self, target: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """See `Head.target_mean`."""
        return target

    def priorities(
        self,
        losses: Float[Array, " batch"],
        td_errors: Float[Array, " batch"],
        target: Float[Array, " batch"],
    ) -> Float[Array, " batch"]:
        """|TD error|, as in Schaul et al. (2016)."""
        return jnp.abs(td_errors)

    @property
    def target_note(self) -> str:
        """See `Head.target_note`."""
        return RESCALING_NOTE if self.rescaling else ""

    @property
    def loss_name(self) -> str:
        """See `Head.loss_name`."""
        if self.huber_delta is None:
            return "(y − Q)²"
        return f"Huber loss of y − Q, linear beyond {self.huber_delta:g},"
