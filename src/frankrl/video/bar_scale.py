"""The scale that all bars of a film share."""

import math
from collections.abc import Sequence

import numpy as np

_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_LEAST_POWER = -300


def round_up(value: float) -> float:
    """The smallest round number at least as large as a positive one: 1, 1.5, 2, 3 … × 10ⁿ."""
    power = 10.0 ** max(math.floor(math.log10(value)), _LEAST_POWER)
    for step in _STEPS:
        if step * power >= value * (1 - 1e-9):
            return step * power
    return 10.0 * power


class BarScale:
    """Maps a value to a position along the bar; the scale always contains zero.

    Its ends are round numbers. They move only outward, and only for a value beyond them, so
    bars can be compared from frame to frame.
    """

    def __init__(self) -> None:
        self.low = 0.0
        self.high = 0.0

    def include(self, values: Sequence[float] | np.ndarray) -> None:
        """Widen the scale to contain these values; values that are not finite are ignored."""
        finite = [float(value) for value in values if math.isfinite(value)]
        largest, smallest = max(finite, default=0.0), min(finite, default=0.0)
        if largest > self.high:
            self.high = round_up(largest)
        if smallest < self.low:
            self.low = -round_up(-smallest)

    def place(self, value: float) -> float:
        """Position of a value along the bar, from 0 at the low end to 1 at the high end."""
        width = self.high - self.low
        if width == 0:
            return 0.0
        return min(max((value - self.low) / width, 0.0), 1.0)
