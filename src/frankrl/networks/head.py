"""What a head is: everything that depends on what the network's output says of the return."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from frankrl.core.types import Params, Transition
from frankrl.networks.initializer import Initializer


class Head(abc.ABC):
    """How the numbers that belong to one action are read, learned and told.

    A head compares and hashes by value. Methods that have no JAX type in their names compute on
    arrays of NumPy as well as of JAX. A new kind of head is a new file with a new subclass.
    """

    # What it is to the network.

    @property
    def atoms(self) -> int | None:
        """Numbers that the last layer gives for each action; none: a single one."""
        return None

    @property
    def num_fractions(self) -> int:
        """Random fractions that an update draws for each transition, for Q(s, a) and for the
        target each; 0: none."""
        return 0

    def init(self, initializer: Initializer, num_features: int) -> Params:
        """Its own parameters; an empty tuple where there are none."""
        return ()

    def condition(
        self,
        params: Any,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None,
    ) -> Float[Any, "row feature"]:
        """Features as the layers above see them."""
        return features

    def arrange(
        self, outputs: Float[Any, "row action *atom"], batch_size: int
    ) -> Float[Any, "batch action *atom"]:
        """Outputs with one row for each observation of the batch."""
        return outputs

    @abc.abstractmethod
    def q_values(self, outputs: Float[Any, "*batch"]) -> Float[Any, "..."]:
        """The mean of the return that outputs tell, over their last axis if they are several."""

    @property
    def sized_by(self) -> tuple[str, ...]:
        """Settings that make its outputs larger."""
        return ("hidden_widths",)

    # What it is to the learner.

    @abc.abstractmethod
    def target(
        self, transition: Transition, next_outputs: Float[Array, "batch *atom"]
    ) -> Float[Array, "batch *atom"]:
        """What the network should have said of the actions taken: numbers, quantiles or
        probabilities. No gradient flows through it.

        Args:
            transition: rewards and discounts.
            next_outputs: what the target network says of the next action.
        """

    @abc.abstractmethod
    def losses(
        self,
        chosen: Float[Array, "batch *atom"],
        target: Float[Array, "batch *atom"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """How far what the network says of the actions taken is from the target.

        Args:
            chosen: what the network says of them.
            target: of `target`.
            fractions: those that the network was asked for, where it is asked for any.
        """

    @abc.abstractmethod
    def target_mean(self, target: Float[Array, "batch *atom"]) -> Float[Array, " batch"]:
        """The mean of a target, which Q(s, a) is compared with."""

    @abc.abstractmethod
    def priorities(
        self,
        losses: Float[Array, " batch"],
        td_errors: Float[Array, " batch"],
        target: Float[Array, "batch *atom"],
    ) -> Float[Array, " batch"]:
        """How wrong the network was about each transition, which its new priority is made of.

        Args:
            losses: of `losses`.
            td_errors: y - Q(s, a), of the means.
            target: of `target`.
        """

    # What is told of it.

    @property
    @abc.abstractmethod
    def loss_name(self) -> str:
        """The loss of one transition, as a formula or in words."""

    @property
    def target_note(self) -> str:
        """What has to be known to follow the target by hand; empty where nothing has."""
        return ""

    @property
    def next_value_note(self) -> str:
        """What the value of s′ is made of, where it is not what Q(s′, ·) is made of."""
        return ""

    def distribution(
        self, outputs: Float[Any, "batch *atom"]
    ) -> Float[np.ndarray, "batch atom"] | None:
        """What outputs for single actions say of the return, in the form of a target; none where
        they say nothing but its mean."""
        return None

    def percentiles(
        self, distribution: Float[np.ndarray, " atom"], percents: Sequence[float]
    ) -> Float[np.ndarray, " percent"]:
        """Percentiles of the return by one distribution or target."""
        raise TypeError(f"{type(self).__name__} tells nothing but a mean")
