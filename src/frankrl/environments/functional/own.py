"""Frank's own functional environments, by name."""

from collections.abc import Callable, Mapping
from typing import Any

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


def own(name: str, kwargs: Mapping[str, Any]) -> FunctionalEnvironment:
    """One of Frank's own, without a time limit.

    Args:
        name: the middle part of its id.
        kwargs: its settings.
    """
    return _OWN[name](**kwargs)
