"""Whole numbers in descriptions of spaces that come from a file."""

from typing import Any

import numpy as np


def whole_array(data: Any) -> np.ndarray:
    """Whole numbers as an array.

    Raises:
        ValueError: it is none of whole numbers.
    """
    array = np.array(data)
    if array.dtype.kind not in "iu":
        raise ValueError("numbers that are not whole")
    return array.astype(np.int64)


def whole(value: Any, least: int | None = None) -> int:
    """A whole number.

    Raises:
        ValueError: it is none, or lower than the least one.
    """
    if type(value) is not int or (least is not None and value < least):
        raise ValueError(f"{value!r:.40} where a whole number belongs")
    return value
