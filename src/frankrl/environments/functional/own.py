"""Frank's own functional environments, by name."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.text import given
from frankrl.environments.functional.acrobot import Acrobot
from frankrl.environments.functional.cartpole import CartPole
from frankrl.environments.functional.cartpole_positions import cartpole_positions
from frankrl.environments.functional.mountain_car import MountainCar
from frankrl.environments.functional.nine_squares import NineSquares
from frankrl.environments.functional.protocol import FunctionalEnvironment
from frankrl.environments.functional.repeat_after_me import RepeatAfterMe

_OWN: dict[str, Callable[..., FunctionalEnvironment]] = {
    "CartPole": CartPole,
    "CartPole-positions": cartpole_positions,
    "Acrobot": Acrobot,
    "MountainCar": MountainCar,
    "NineSquares": NineSquares,
    "RepeatAfterMe": RepeatAfterMe,
}


class _Kind(NamedTuple):
    """What a keyword argument must be."""

    words: str
    holds: Callable[[Any], bool]


_KINDS = {
    "sutton_barto_reward": _Kind("true or false", lambda value: isinstance(value, bool)),
    "goal_velocity": _Kind(
        "a finite number",
        lambda value: type(value) in (int, float) and math.isfinite(value),
    ),
}


def own(name: str, kwargs: Mapping[str, Any]) -> FunctionalEnvironment:
    """One of Frank's own, without a time limit.

    Args:
        name: the middle part of its id.
        kwargs: its settings.

    Raises:
        EnvironmentUnusableError: a setting is not allowed.
    """
    for key, value in kwargs.items():
        wanted = _KINDS.get(key)
        if wanted is not None and not wanted.holds(value):
            raise EnvironmentUnusableError(f"{key} must be {wanted.words}, got {given(value)}")
    return _OWN[name](**kwargs)
