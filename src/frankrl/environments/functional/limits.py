"""The time limit of a functional environment, whose steps are counted in 32 bits."""

import numbers
from typing import Any

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.text import given

_LARGEST = 2**31 - 1


def checked_limit(limit: Any, where: str) -> int:
    """A time limit as an int.

    Args:
        limit: the most steps of an episode.
        where: where it stands, for the message.

    Raises:
        EnvironmentUnusableError: it is no whole number, or out of range.
    """
    is_number = isinstance(limit, numbers.Integral) and not isinstance(limit, bool)
    if is_number and 1 <= int(limit) <= _LARGEST:
        return int(limit)
    raise EnvironmentUnusableError(
        f"max_episode_steps in {where} must be a whole number from 1 to {_LARGEST:,}, got "
        f"{given(limit)}: leave it out for the environment's own time limit"
    )
