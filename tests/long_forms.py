"""Which parameters of a test run by default; the others are long forms."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def some_of(values: Iterable[Any], default: Sequence[Any]) -> list[Any]:
    """All values as parameters, those that are not in `default` with the mark `slow`."""
    values = list(values)
    assert all(value in values for value in default)
    return [
        value
        if value in default
        else pytest.param(
            *(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.slow
        )
        for value in values
    ]
