"""Rows that the host names: any, or the newest."""

from dataclasses import dataclass

from jaxtyping import Array, Float, Integer, UInt32

from frankrl.core.types import QuadrupleBatch
from frankrl.replay.sampling import Drawn, Due, Sampling
from frankrl.replay.uniform import ReplayState, add, newest_indices, sample_indices


@dataclass(frozen=True)
class GivenRows(Sampling):
    """Every row counts alike, and nothing is kept in mind."""

    batch_size: int
    capacity: int

    def priorities(self, capacity: int) -> None:
        """None."""

    def add(
        self,
        state: ReplayState,
        rows: QuadrupleBatch,
        begun: UInt32[Array, " row"],
        count: Integer[Array, ""],
    ) -> ReplayState:
        """The rows alone."""
        return add(state, rows, begun, count)

    def drawn(self, state: ReplayState, choice: Drawn) -> Drawn:
        """Those that the host named."""
        return choice

    def learned(
        self,
        state: ReplayState,
        drawn: Drawn,
        surprises: Float[Array, "update batch"] | None,
        num_updates: Integer[Array, ""],
    ) -> ReplayState:
        """The buffer as it is."""
        return state


class UniformSampling(GivenRows):
    """Rows drawn uniformly with replacement."""

    def choice(self, seed: int, due: Due) -> Drawn:
        """The rows themselves."""
        fill = min(due.num_added, self.capacity)
        rows = sample_indices(seed, due.first_update, due.most_updates, self.batch_size, fill)
        return Drawn(rows, None, None)


class NewestSampling(GivenRows):
    """The newest rows in order, as if there were no replay."""

    def choice(self, seed: int, due: Due) -> Drawn:
        """The rows themselves."""
        counts = (due.num_added, due.num_new, due.num_updates, due.most_updates)
        return Drawn(newest_indices(*counts, self.batch_size, self.capacity), None, None)
