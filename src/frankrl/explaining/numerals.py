"""Number formatting for the terminal and the HTML page."""

import math

import numpy as np

from frankrl.core.figures import figure


def written(cell: str | int | float) -> str:
    """A whole number in full, any other number as a figure; text is unchanged.

    A Q-value of -∞ means that the action is not allowed.
    """
    if isinstance(cell, str):
        return cell
    if cell == -math.inf:
        return "not allowed"
    return f"{cell:,}" if isinstance(cell, int) else figure(cell)


def bracketed(value: float) -> tuple[str | float, ...]:
    """A number to be added or subtracted; a negative one gets brackets."""
    return ("(", value, ")") if value < 0 else (value,)


def plain_numbers(values: np.ndarray) -> tuple[float, ...]:
    """The numbers of an array with one axis."""
    return tuple(values.tolist())
