"""Bars that show how far each Q-value lies below the best one: Q − max Q, from 0 downward.

Bars from zero would look alike wherever the values are large and their differences small, and
only the differences decide.
"""

import math
from collections.abc import Sequence

import numpy as np

_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_LEAST_POWER = -300
_NARROWING = 4.0
"""The scale narrows once the values need less than this part of it."""


def round_up(value: float) -> float:
    """The smallest round number at least as large as a positive one: 1, 1.5, 2, 3 … × 10ⁿ."""
    power = 10.0 ** max(math.floor(math.log10(value)), _LEAST_POWER)
    for step in _STEPS:
        if step * power >= value * (1 - 1e-9):
            return step * power
    return 10.0 * power


def advantages(q_values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Q − max Q of each action; None where a value is not finite, as for a forbidden action."""
    values = [float(value) for value in q_values]
    best = max(filter(math.isfinite, values), default=0.0)
    return [value - best if math.isfinite(value) else None for value in values]


def scale_of(q_values: Sequence[float] | np.ndarray) -> float:
    """The round end of a scale that holds every advantage; 0 if all values are equal."""
    widest = -min((a for a in advantages(q_values) if a is not None), default=0.0)
    return round_up(widest) if widest > 0 else 0.0


def place(advantage: float, scale: float) -> float:
    """Position of an advantage on a scale, from 0 at its low end to 1 at 0."""
    return min(max(1 + advantage / scale, 0.0), 1.0) if scale else 1.0


class SteadyScale:
    """A scale for one decision after another, which rarely changes.

    It widens for a value beyond it, and narrows only once the values need a small part of it.
    """

    def __init__(self) -> None:
        self.end = 0.0
        """The scale reaches from minus this to 0."""

    def include(self, q_values: Sequence[float] | np.ndarray) -> None:
        """Take the Q-values of the next decision."""
        needed = scale_of(q_values)
        if needed > self.end or 0 < needed * _NARROWING < self.end:
            self.end = needed
