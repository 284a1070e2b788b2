"""What updates report between two rows of metrics."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.learning import UpdateMetrics

STATISTICS = UpdateMetrics._fields
MAX_ROUNDS = 256
"""Rounds whose TD errors are kept for the next row, the newest of them."""
TD_ERROR_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Which quantiles of the TD errors a row holds, in its order."""


class Interval(NamedTuple):
    """The figures that the next row is made of."""

    statistics: Float[np.ndarray, "update statistic"]
    """Of each update, columns as in `UpdateMetrics`."""
    td_errors: Float[np.ndarray, "round batch"]
    """y - Q(s, a) of each quadruple of a round's last update. [reward]"""

    @classmethod
    def empty(cls, batch_size: int) -> "Interval":
        """Nothing yet."""
        shapes = ((0, len(STATISTICS)), (0, batch_size))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    def means(self) -> list[float | None]:
        """The mean of each statistic over the updates; none without any."""
        if not len(self.statistics):
            return [None] * len(STATISTICS)
        return [float(mean) for mean in self.statistics.mean(axis=0, dtype=np.float64)]

    def td_error_quantiles(self) -> list[float | None]:
        """How the TD errors are distributed, by `TD_ERROR_QUANTILES`; none without any. [reward]"""
        if not self.td_errors.size:
            return [None] * len(TD_ERROR_QUANTILES)
        return [float(value) for value in np.quantile(self.td_errors, TD_ERROR_QUANTILES)]
