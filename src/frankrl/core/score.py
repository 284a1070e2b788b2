"""A score over several seeds: the interquartile mean, and how certain it is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FEWEST_FOR_INTERVAL = 5
"""Least number of seeds for a bootstrap interval."""
_RESAMPLES = 10_000
_MAX_NUMBERS = 1 << 22
"""Weights of resamples that are held at once."""
_TRIMMED = 4
"""One in so many values is left out on either side."""


class Score(NamedTuple):
    """A score over several seeds."""

    middle: float
    """Interquartile mean over seeds; the plain mean below `FEWEST_FOR_INTERVAL` seeds."""
    low: float
    high: float
    """`low` to `high`: 95 % bootstrap interval; the range below `FEWEST_FOR_INTERVAL` seeds."""


class Scores(NamedTuple):
    """A score at each of several points; NaN where no seed has a value."""

    middle: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " point"]
    high: Float[np.ndarray, " point"]


def score(values: Float[np.ndarray, " seed"]) -> Score:
    """Interquartile mean and its bootstrap interval (percentile method, fixed seed).

    For fewer than `FEWEST_FOR_INTERVAL` values: the plain mean and the range.

    Source: Agarwal et al. (2021). https://arxiv.org/abs/2108.13264
    """
    each = scores(np.asarray(values, np.float64)[:, None])
    return Score(float(each.middle[0]), float(each.low[0]), float(each.high[0]))


def scores(values: Float[np.ndarray, "seed point"]) -> Scores:
    """The score at each point, of the seeds that have a finite value there."""
    counts = np.isfinite(values).sum(axis=0)
    # Values that are missing come last.
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)
    found = np.full((3, values.shape[1]), np.nan)
    for count in np.unique(counts[counts > 0]).tolist():
        at = counts == count
        found[:, at] = _of_ordered(ordered[:count, at])
    return Scores(*found)


def _of_ordered(values: Float[np.ndarray, "seed point"]) -> Float[np.ndarray, "3 point"]:
    """Middle, low and high of values that rise along their first axis."""
    count = len(values)
    if count < FEWEST_FOR_INTERVAL:
        return np.stack([values.mean(axis=0), values[0], values[-1]])
    cut = count // _TRIMMED
    middle = values[cut : count - cut].mean(axis=0)
    low, high = np.percentile(_resampled(values), [2.5, 97.5], axis=0)
    # Else rounding would make an interval of values that are all equal.
    is_same = values[0] == values[-1]
    return np.stack([np.where(is_same, values[0], part) for part in (middle, low, high)])


def _resampled(values: Float[np.ndarray, "seed point"]) -> Float[np.ndarray, "resample point"]:
    """The interquartile mean of each bootstrap resample.

    A resample is drawn by rank, so the same draws serve all points, and its interquartile mean is
    a weighted sum of the ordered values.
    """
    count = len(values)
    cut = count // _TRIMMED
    generator = np.random.default_rng(0)
    several = max(1, min(_RESAMPLES, _MAX_NUMBERS // count))
    parts = []
    for first in range(0, _RESAMPLES, several):
        size = min(several, _RESAMPLES - first)
        ranks = np.sort(generator.integers(count, size=(size, count)), axis=1)
        kept = ranks[:, cut : count - cut]
        places = kept + np.arange(size)[:, None] * count
        weights = np.bincount(places.ravel(), minlength=size * count).reshape(size, count)
        parts.append(weights @ values / kept.shape[1])
    return np.concatenate(parts)
