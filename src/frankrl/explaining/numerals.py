"""How a number is written, in a terminal and on a page alike."""

import math


def written(cell: str | int | float) -> str:
    """A whole number in full, any other to four digits; words stay as they are.

    A Q-value of -∞ is that of an action that is not allowed.
    """
    if isinstance(cell, str):
        return cell
    if cell == -math.inf:
        return "not allowed"
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
