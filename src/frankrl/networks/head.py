"""The interface of a head: everything that depends on how outputs describe the return."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from frankrl.core.types import Params, Transition
from frankrl.networks.initializer import Initializer


class Head(abc.ABC):
    """How the outputs for an action become a Q-value, how they are trained, how they are explained.

    A head compares and hashes by value. Methods whose arrays are typed `Any` take NumPy or JAX
    arrays. A new kind of head is a new file with a new subclass.
    """

    # Used by the network.

    @property
    def atoms(self) -> int | None:
        """Outputs of the last layer per action; None: a single one, without an axis of its own."""
        return None

    @property
    def num_fractions(self) -> int:
        """Fractions sampled per transition of an update, for Q(s, a) and for the target each;
        0 if the head takes none."""
        return 0

    def init(self, initializer: Initializer, num_features: int) -> Params:
        """Initial parameters of the head; an empty tuple if it has none."""
        return ()

    def condition(
        self,
        params: Any,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None,
    ) -> Float[Any, "row feature"]:
        """The features that the next layer gets; a head may combine them with fractions."""
        return features

    def arrange(
        self, outputs: Float[Any, "row action *atom"], batch_size: int
    ) -> Float[Any, "batch action *atom"]:
        """The outputs with one row per observation of the batch."""
        return outputs

    @abc.abstractmethod
    def q_values(self, outputs: Float[Any, "*batch"]) -> Float[Any, "..."]:
        """Q-values: the expected returns that outputs describe, over their last axis if they have
        an axis of atoms."""

    @property
    def sized_by(self) -> tuple[str, ...]:
        """Names of the settings that decide how many outputs there are."""
        return ("hidden_widths",)

    # Used by the learner.

    @abc.abstractmethod
    def target(
        self, transition: Transition, next_outputs: Float[Array, "batch *atom"]
    ) -> Float[Array, "batch *atom"]:
        """The target of the outputs for the actions taken: Q-values, quantiles or probabilities.
        No gradient flows through it.

        Args:
            transition: provides rewards and discounts.
            next_outputs: the target network's outputs for the next actions.
        """

    @abc.abstractmethod
    def losses(
        self,
        chosen: Float[Array, "batch *atom"],
        target: Float[Array, "batch *atom"],
        fractions: Float[Array, "batch fraction"] | None,
    ) -> Float[Array, " batch"]:
        """Loss of each transition.

        Args:
            chosen: the Q-network's outputs for the actions taken.
            target: result of `target`.
            fractions: the fractions at which `chosen` was computed; None without fractions.
        """

    @abc.abstractmethod
    def target_mean(self, target: Float[Array, "batch *atom"]) -> Float[Array, " batch"]:
        """The expected return of each target, with which the TD error is computed."""

    @abc.abstractmethod
    def priorities(
        self,
        losses: Float[Array, " batch"],
        td_errors: Float[Array, " batch"],
        target: Float[Array, "batch *atom"],
    ) -> Float[Array, " batch"]:
        """The error of each transition, on which its new priority is based.

        Args:
            losses: result of `losses`.
            td_errors: y - Q(s, a), by the expected returns.
            target: result of `target`.
        """

    # Used by `frank explain`.

    @property
    @abc.abstractmethod
    def loss_name(self) -> str:
        """The loss of a transition, as a formula or in words."""

    @property
    def target_note(self) -> str:
        """What a reader needs to know to compute the target by hand; empty: nothing."""
        return ""

    @property
    def next_value_note(self) -> str:
        """How the value of s′ is computed if not from the Q-values Q(s′, ·); else empty."""
        return ""

    def distribution(
        self, outputs: Float[Any, "batch *atom"]
    ) -> Float[np.ndarray, "batch atom"] | None:
        """The return distributions that outputs for single actions describe, in the form of a
        target; None if the head predicts only the mean."""
        return None

    def percentiles(
        self, distribution: Float[np.ndarray, " atom"], percents: Sequence[float]
    ) -> Float[np.ndarray, " percent"]:
        """Percentiles of one return distribution or target."""
        raise TypeError(f"{type(self).__name__} predicts only the mean of the return")
