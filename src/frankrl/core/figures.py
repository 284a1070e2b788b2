"""How figures are written: with as many digits as their spread allows, and counted nouns."""

import math

_DIGITS = 4
"""Significant digits of a figure whose spread is not known."""
_DIGITS_OF_SPREAD = 2
_LEAST_SHARE, _LEAST_SPREAD = 1e-6, 1e-12
"""A spread below this part of the value, or below this, comes from rounding and counts as none."""
_SMALLEST, _LARGEST = 1e-4, 1e15
"""Figures outside are written with an exponent."""


def figure(value: float, spread: float = 0.0) -> str:
    """A figure as text.

    Args:
        value: the figure.
        spread: how far it is from certain, such as half the width of its 95 % interval, in the
            figure's unit; 0: not known.

    Returns:
        The figure up to the second significant digit of its spread. Without a spread it has four
        significant digits, and its whole part always in full.
    """
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if math.isfinite(spread) and spread > max(_LEAST_SHARE * size, _LEAST_SPREAD):
        return _with_decimals(value, decimals(spread, _DIGITS_OF_SPREAD))
    if size != 0 and not _SMALLEST <= size < _LARGEST:
        return f"{value:.{_DIGITS}g}"
    text = _with_decimals(value, decimals(size, _DIGITS))
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float) -> str:
    """A figure with its sign, in at most eight characters below a million.

    Figures of similar size have the same number of decimals, so that they can be compared from
    one frame of a film to the next.
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6:
        text = f"{value:+.2e}"
    elif size < _SMALLEST:
        text = f"{value:+.1e}"
    elif size < 1:
        text = f"{value:+.{decimals(size, 3)}f}"
    else:
        text = f"{value:+.{2 if size < 100 else 1 if size < 10_000 else 0}f}"
    return f"−{text[1:]}" if value < 0 else text


def decimals(size: float, digits: int) -> int:
    """Decimals that show the first significant digits of a number.

    Args:
        size: the number; its sign does not count.
        digits: how many significant digits to show.
    """
    return max(0, digits - 1 - math.floor(math.log10(abs(size)))) if size else 0


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun: "1 env step", "2,000 env steps".

    Args:
        count: the number.
        noun: the noun in the singular.
        plural: its plural; empty: the singular and an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def _with_decimals(value: float, number: int) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"{round(value, number) + 0.0:,.{number}f}"
