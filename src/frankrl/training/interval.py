"""Metrics of the updates between two rows of metrics."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.learning import UpdateMetrics

STATISTICS = UpdateMetrics._fields
MAX_ROUNDS = 256
"""TD errors are kept of this many rounds at most, the newest ones."""
TD_ERROR_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Fractions of the TD errors' quantiles in a row, in its order."""


class Interval(NamedTuple):
    """The metrics from which the next row is computed."""

    statistics: Float[np.ndarray, "update statistic"]
    """Metrics of each update; columns as in `UpdateMetrics`."""
    td_errors: Float[np.ndarray, "round batch"]
    """y - Q(s, a) of each transition in the last update of each round. [reward]"""

    @classmethod
    def empty(cls, batch_size: int) -> "Interval":
        """An interval without updates."""
        shapes = ((0, len(STATISTICS)), (0, batch_size))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def means(self) -> list[float | None]:
        """Mean of each statistic over the updates; None without updates."""
        if not len(self.statistics):
            return [None] * len(STATISTICS)
        return [float(mean) for mean in self.statistics.mean(axis=0, dtype=np.float64)]

    def td_error_quantiles(self) -> list[float | None]:
        """Quantiles of the TD errors at `TD_ERROR_QUANTILES`; None without updates. [reward]"""
        if not self.td_errors.size:
            return [None] * len(TD_ERROR_QUANTILES)
        return [float(value) for value in np.quantile(self.td_errors, TD_ERROR_QUANTILES)]
