"""The returns of greedy episodes, and how certain their mean is."""

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from frankrl.core.figures import counted, figure
from frankrl.inline.block import html_block
from frankrl.training.in_words import mean_in_words, spread_of

if TYPE_CHECKING:
    pass

_ORDER = ("min", "median", "max")

_RESAMPLES = 2_000

_MAX_DRAWN = 1_000_000
"""Values that are drawn together for resamples, so that they fit into memory."""


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Returns and lengths of greedy episodes, in the order of their seeds."""

    returns: Float[np.ndarray, " episode"]
    lengths: Int[np.ndarray, " episode"]
    successes: Float[np.ndarray, " episode"] | None = None
    """What `is_success` was at the end of each episode, 0 where it was missing; None if no episode
    gave it."""

    @property
    def success_rate(self) -> float | None:
        """Mean of `is_success` over the episodes; None if no episode gave it."""
        return None if self.successes is None else float(np.mean(self.successes))

    @property
    def mean_return(self) -> float:
        """Mean return over the episodes."""
        return float(np.mean(self.returns))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean return."""
        return float(np.std(self.returns - self.returns[0]) / math.sqrt(len(self.returns)))

    def __repr__(self) -> str:
        return f"{self._title()}: {mean_in_words(self.summary())}"

    def _repr_html_(self) -> str:
        """The evaluation in a notebook."""
        summary = self.summary()
        shown = functools.partial(figure, spread=spread_of(summary))
        rows = [
            ("mean return", mean_in_words(summary).removeprefix("mean return ")),
            ("worst, median, best", ", ".join(shown(summary[f"{n}_return"]) for n in _ORDER)),
            ("mean length", f"{figure(summary['mean_length'])} steps"),
        ]
        return html_block(self._title(), rows)

    def _title(self) -> str:
        return f"Evaluation of {counted(len(self.returns), 'greedy episode')}"

    def summary(self) -> dict:
        """Statistics of the returns, with a 95 % interval of the mean, and each episode."""
        low, high = interval_of_mean(self.returns)
        rate = self.success_rate
        success = {} if rate is None else {"success_rate": rate}
        return {
            "episodes": len(self.returns),
            "mean_return": self.mean_return,
            # Differences, so that equal returns have no spread from rounding.
            "std_return": float(np.std(self.returns - self.returns[0])),
            "interval_95": [low, high],
            "min_return": float(np.min(self.returns)),
            "median_return": float(np.median(self.returns)),
            "max_return": float(np.max(self.returns)),
            "mean_length": float(np.mean(self.lengths)),
            **success,
            "returns": [float(value) for value in self.returns],
            "lengths": [int(value) for value in self.lengths],
        }


def interval_of_mean(values: Float[np.ndarray, " value"]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean (percentile method, 2,000 resamples, fixed seed).

    SciPy's `bootstrap` gives the same numbers. Importing it would take half a second at the end of
    every run.
    """
    count = len(values)
    if count < 2 or np.all(values == values[0]):
        return float(np.mean(values)), float(np.mean(values))
    random = np.random.default_rng(0)
    together = max(1, _MAX_DRAWN // count)
    means = [
        values[random.integers(0, count, (min(together, _RESAMPLES - first), count))].mean(axis=1)
        for first in range(0, _RESAMPLES, together)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
