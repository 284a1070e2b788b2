"""Numbers by name in the info of an episode's last step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frankrl.core.text import given, shown
from frankrl.core.types import FinalInfo

SUCCESS = "is_success"
"""The entry under which environments say whether an episode reached its goal."""
_MAX_KEYS = 20


def final_info(info: Any, names: Sequence[str]) -> FinalInfo | None:
    """The numbers under some names, and under `is_success` if that is there.

    Args:
        info: what the environment's last step of an episode gave as its info.
        names: the names that are asked for.

    Returns:
        None if there is nothing to say.
    """
    entries = info if isinstance(info, Mapping) else {}
    if not names and SUCCESS not in entries:
        return None
    values, missing = {}, {}
    for name in dict.fromkeys((*names, SUCCESS)):
        if name not in entries:
            keys = ", ".join(shown(key, 40) for key in list(entries)[:_MAX_KEYS])
            reason = f"the last step's info has {f'only {keys}' if keys else 'no entry at all'}"
        elif (value := finite_number(entries[name])) is None:
            reason = f"it is {given(entries[name])}, which is no finite number"
        else:
            values[name] = value
            continue
        if name in names:
            missing[name] = reason
    return FinalInfo(values, missing) if values or missing else None


def finite_number(value: Any) -> float | None:
    """A bool or number of Python, NumPy and the like as a float; None if it is none."""
    try:
        number = np.asarray(value)
        if number.ndim or number.dtype.kind not in "biuf" or not np.isfinite(number):
            return None
        return float(number)
    except Exception:  # whatever a foreign type raises
        return None
