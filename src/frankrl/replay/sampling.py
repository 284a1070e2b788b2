"""What every way of choosing the rows that updates learn from has to do."""

import abc
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Integer, UInt32

from frankrl.core.types import QuadrupleBatch
from frankrl.replay.priorities import Priorities
from frankrl.replay.uniform import ReplayState


class Due(NamedTuple):
    """What a round needs rows for."""

    first_update: int
    """Number of its first update in the whole run, from 0."""
    num_updates: int
    """Updates that are due."""
    most_updates: int
    """Updates that can be due in any round: the table of rows is as long, whatever is due."""
    num_added: int
    """Quadruples ever added, with those of this round."""
    num_new: int
    """Quadruples that this round adds."""
    env_steps: int
    """Transitions collected in the whole run by the end of this round."""


class Drawn(NamedTuple):
    """The rows that a round's updates learn from."""

    indices: UInt32[Any, "update batch"]
    """Rows of the buffer, with the new ones in it."""
    weights: Float[Any, "update batch"] | None
    """What each row's loss is multiplied by; none where all count alike."""
    probabilities: Float[Any, "update batch"] | None
    """P(i), in the mean over an update's draws: each is from a segment of its own, in which a
    row that lies there is likelier than that. None where all were alike."""


class Sampling(abc.ABC):
    """Which rows updates learn from, what each counts, and what is kept in mind of it.

    `choice` is made on the host while the learner computes; the rest is traced into the
    learner's compiled call. Of one value it is hashable, so that equal ones share one
    compilation.
    """

    @abc.abstractmethod
    def priorities(self, capacity: int) -> Priorities | None:
        """What an empty buffer keeps beside its rows."""

    @abc.abstractmethod
    def choice(self, seed: int, due: Due) -> Any:
        """What the compiled call needs for finding the rows: a record of NumPy arrays of fixed
        shapes, made of the run's seed and counters alone."""

    @abc.abstractmethod
    def add(
        self,
        state: ReplayState,
        rows: QuadrupleBatch,
        begun: UInt32[Array, " row"],
        count: Integer[Array, ""],
    ) -> ReplayState:
        """The buffer with new rows; the arguments are those of `frankrl.replay.add`."""

    @abc.abstractmethod
    def drawn(self, state: ReplayState, choice: Any) -> Drawn:
        """The rows of all of a round's updates, drawn before the first of them."""

    @abc.abstractmethod
    def learned(
        self,
        state: ReplayState,
        drawn: Drawn,
        surprises: Float[Array, "update batch"] | None,
        num_updates: Integer[Array, ""],
    ) -> ReplayState:
        """The buffer after the round's updates.

        Args:
            state: the buffer.
            drawn: the rows that were drawn.
            surprises: how wrong the Q-network was about each before its update, in the unit of
                what its head learns from (`frankrl.learning.returns.surprises_of`); none
                without weights.
            num_updates: how many of the updates were due.
        """
