"""How much each searched setting of a sweep matters, from the values of its trials.

The measure is ε² of the test of Kruskal and Wallis: the share of the variance of the trials' ranks
that one setting explains by itself. Ranks make it the same for every objective that orders the
trials alike, so a few terrible trials do not decide it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

FEWEST_TRIALS = 10
"""With fewer trials no importance is shown."""
_TRIALS_PER_BIN, _MOST_BINS = 5, 6
_QUANTILE_95 = 1.6449
"""95 % quantile of the standard normal distribution."""


class Importance(NamedTuple):
    """How much a setting matters."""

    share: float
    """ε², from 0 to 1: the share of the variance of the ranks that the setting explains."""
    chance: float
    """The share that a setting without any effect stays below in 19 of 20 sweeps."""


def importances(
    settings: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    choices: Mapping[str, bool],
) -> dict[str, Importance | None]:
    """How much each setting matters; None where too little is known.

    Args:
        settings: the searched settings of each trial.
        values: the value of each trial.
        choices: the searched settings, and whether each has choices instead of a range.
    """
    return {name: _importance(settings, values, name, choices[name]) for name in choices}


def _importance(
    settings: Sequence[Mapping[str, Any]], values: Sequence[float], name: str, is_choice: bool
) -> Importance | None:
    pairs = [(one[name], v) for one, v in zip(settings, values, strict=True) if name in one]
    if len(pairs) < FEWEST_TRIALS:
        return None
    tried = [setting for setting, _ in pairs]
    group = _categories(tried) if is_choice else _bins(np.array(tried, np.float64))
    return epsilon_squared(np.array([value for _, value in pairs], np.float64), group)


def epsilon_squared(
    values: Float[np.ndarray, " trial"], group: Int[np.ndarray, " trial"]
) -> Importance | None:
    """ε² = (H - k + 1) / (n - k) of n values in k groups, at least 0; None: it is not defined.

    H is the statistic of Kruskal and Wallis, corrected for ties. Without an effect it is
    distributed about as χ² with k - 1 degrees of freedom, whose quantile is that of Wilson and
    Hilferty.

    Source: Kruskal and Wallis (1952), https://doi.org/10.1080/01621459.1952.10483441; Kelley
    (1935), https://doi.org/10.1073/pnas.21.9.554 (ε²).
    """
    counts = np.bincount(group)
    counts_there = counts[counts > 0]
    n, k = len(values), len(counts_there)
    if k < 2 or n <= k:
        return None
    ranks = _ranks(values)
    total = float(np.sum((ranks - ranks.mean()) ** 2))
    if total == 0:
        return None
    means = np.bincount(group, ranks)[counts > 0] / counts_there
    between = float(np.sum(counts_there * (means - ranks.mean()) ** 2))
    h = (n - 1) * between / total
    freedom = k - 1
    spread = 2 / (9 * freedom)
    most = freedom * (1 - spread + _QUANTILE_95 * math.sqrt(spread)) ** 3
    share, chance = (max(0.0, (x - freedom) / (n - k)) for x in (h, most))
    return Importance(share, min(1.0, chance))


def _ranks(values: Float[np.ndarray, " trial"]) -> Float[np.ndarray, " trial"]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]


def _categories(tried: Sequence[Any]) -> Int[np.ndarray, " trial"]:
    """The number of each choice. By their texts, because True and 1 are equal."""
    return np.unique([repr(choice) for choice in tried], return_inverse=True)[1]


def _bins(tried: Float[np.ndarray, " trial"]) -> Int[np.ndarray, " trial"]:
    """Groups of neighbouring values of about the same size; equal values stay together."""
    number = min(_MOST_BINS, max(2, len(tried) // _TRIALS_PER_BIN))
    if len(np.unique(tried)) <= number:
        return np.unique(tried, return_inverse=True)[1]
    edges = np.quantile(tried, np.arange(1, number) / number)
    return np.searchsorted(edges, tried, side="left")
