"""The interface of samplers, which choose the transitions that updates learn from."""

import abc
from typing import Any, NamedTuple

from jaxtyping import Array, Float, UInt32

from frankrl.replay.priorities import Priorities
from frankrl.replay.state import ReplayState

Count = Any
"""A whole number; in compiled code an array."""


class SampleRequest(NamedTuple):
    """The updates of a round, and the transitions that they can be given."""

    first_update: Count
    """Number of the round's first update in the run, from 0."""
    num_updates: int
    first: Count
    """Env step at which the oldest transition begins that can be sampled."""
    end: Count
    """The env step after that of the newest; there is at least one if updates are due."""
    num_new: Count
    """How many of these transitions the round has added."""
    ticks: Count
    """Of the run's clock at the end of this round."""


class Sample(NamedTuple):
    """The transitions that the updates of a round learn from."""

    env_steps: UInt32[Any, "update batch"]
    """Env step of the run at which each transition begins."""
    weights: Float[Any, "update batch"] | None
    """Importance weight of each transition's loss; None: all are 1."""
    probabilities: Float[Any, "update batch"] | None
    """P(i), the mean over the samples of an update: each sample is taken from a segment of its
    own, in which the transitions that it contains are likelier. None if sampling is uniform."""


class Sampler(abc.ABC):
    """Chooses the transitions of updates and their weights, and keeps their priorities if any.

    `draws` runs on the host while the learner computes; all other methods are traced into a
    compiled call. A sampler compares and hashes by value, so equal ones share one
    compilation.
    """

    batch_size: int

    @abc.abstractmethod
    def draws(self, seed: int, request: SampleRequest) -> Any:
        """The compiled call's input for choosing transitions: NumPy arrays that depend only on
        the run's seed and counters."""

    @abc.abstractmethod
    def device_draws(self, bits: UInt32[Array, "update batch"], request: SampleRequest) -> Any:
        """The same in compiled code, from 32 random bits for each transition.

        Args:
            bits: they depend only on the run's seed and the numbers of the updates.
            request: `num_updates` is fixed; all other fields are arrays.
        """

    def init(self, capacity: int) -> Priorities | None:
        """Priorities of an empty buffer; None if the sampler keeps none."""
        return None

    def add(
        self,
        state: ReplayState,
        capacity: int,
        first: UInt32[Array, ""],
        end: UInt32[Array, ""],
        most: int,
        errors: Float[Array, " row"] | None = None,
    ) -> ReplayState:
        """The buffer after the transitions from env step `first` up to, but not including, `end`
        have been added; these are at most `most`. `errors` are theirs, if they are known."""
        return state

    @abc.abstractmethod
    def sample(self, state: ReplayState, capacity: int, draws: Any) -> Sample:
        """The transitions of all updates of a round, chosen before the first update."""

    def set_priorities(
        self,
        state: ReplayState,
        capacity: int,
        sample: Sample,
        priorities: Float[Array, "update batch"] | None,
    ) -> ReplayState:
        """The buffer with new priorities after the updates of a round."""
        return state
