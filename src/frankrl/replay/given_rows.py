"""Rows that the host names: any, or the newest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float, Integer, UInt32

from frankrl.records import QuadrupleBatch
from frankrl.replay.sampling import Drawn, Due, Sampling
from frankrl.replay.uniform import ReplayState, add, newest_indices, sample_indices


@dataclass(frozen=True)
class GivenRows(Sampling):
    """Every row counts alike, and nothing is kept in mind."""

    indices: Callable[[int, Due, int, int], UInt32[np.ndarray, "update batch"]]
    """Given the seed, what is due, the batch size and the capacity."""
    batch_size: int
    capacity: int

    def priorities(self, capacity: int) -> None:
        """None."""

    def choice(self, seed: int, due: Due) -> Drawn:
        """The rows themselves."""
        return Drawn(self.indices(seed, due, self.batch_size, self.capacity), None, None)

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
        abs_td_errors: Float[Array, "update batch"] | None,
        num_updates: Integer[Array, ""],
    ) -> ReplayState:
        """The buffer as it is."""
        return state


def any_rows(
    seed: int, due: Due, batch_size: int, capacity: int
) -> UInt32[np.ndarray, "update batch"]:
    """Rows drawn uniformly with replacement."""
    fill = min(due.num_added, capacity)
    return sample_indices(seed, due.first_update, due.most_updates, batch_size, fill)


def newest_rows(
    seed: int, due: Due, batch_size: int, capacity: int
) -> UInt32[np.ndarray, "update batch"]:
    """The newest rows in order."""
    return newest_indices(
        due.num_added, due.num_new, due.num_updates, due.most_updates, batch_size, capacity
    )
