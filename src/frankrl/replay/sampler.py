"""What every way of choosing the transitions that updates learn from has to do."""

import abc
from typing import Any, NamedTuple

from jaxtyping import Array, Float, UInt32

from frankrl.replay.priorities import Priorities
from frankrl.replay.state import ReplayState


class SampleRequest(NamedTuple):
    """What a round needs transitions for."""

    first_update: int
    """Number of its first update in the whole run, from 0."""
    num_updates: int
    first: int
    """Env step that the oldest transition begins with which can be drawn."""
    end: int
    """The one after that of the newest; there is at least one transition if updates are due."""
    num_new: int
    """How many of them the round has added."""
    env_steps: int
    """Transitions collected in the whole run by the end of this round."""


class Sample(NamedTuple):
    """The transitions that a round's updates learn from."""

    env_steps: UInt32[Any, "update batch"]
    """The env step that each begins with, which is where it came from."""
    weights: Float[Any, "update batch"] | None
    """What each transition's loss is multiplied by; none where all count alike."""
    probabilities: Float[Any, "update batch"] | None
    """P(i), in the mean over an update's draws: each is from a segment of its own, in which a
    transition that lies there is likelier than that. None where all were alike."""


class Sampler(abc.ABC):
    """Which transitions updates learn from, what each counts, and what is kept in mind of it.

    `draws` is made on the host while the learner computes; the rest is traced into the
    learner's compiled call. A sampler compares and hashes by value, so that equal ones share
    one compilation.
    """

    batch_size: int

    @abc.abstractmethod
    def draws(self, seed: int, request: SampleRequest) -> Any:
        """What the compiled call needs for finding the transitions: NumPy arrays, made of the
        run's seed and counters alone."""

    def init(self, capacity: int) -> Priorities | None:
        """What an empty buffer keeps beside its steps."""
        return None

    def add(
        self,
        state: ReplayState,
        capacity: int,
        first: UInt32[Array, ""],
        end: UInt32[Array, ""],
        most: int,
    ) -> ReplayState:
        """The buffer once the transitions from env step `first` to before `end` can be drawn,
        which are `most` at most."""
        return state

    @abc.abstractmethod
    def sample(self, state: ReplayState, capacity: int, draws: Any) -> Sample:
        """The transitions of all of a round's updates, drawn before the first of them."""

    def set_priorities(
        self,
        state: ReplayState,
        capacity: int,
        sample: Sample,
        priorities: Float[Array, "update batch"] | None,
    ) -> ReplayState:
        """The buffer after the round's updates."""
        return state
