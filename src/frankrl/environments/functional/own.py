"""Frank's own functional environments, by name."""

from collections.abc import Mapping
from typing import Any

from frankrl.environments.functional.acrobot import Acrobot
from frankrl.environments.functional.cartpole import CartPole
from frankrl.environments.functional.mountain_car import MountainCar
from frankrl.environments.functional.nine_squares import NineSquares
from frankrl.environments.functional.protocol import FunctionalEnvironment

_OWN = {one.__name__: one for one in (CartPole, Acrobot, MountainCar, NineSquares)}


def own(name: str, kwargs: Mapping[str, Any]) -> FunctionalEnvironment:
    """One of Frank's own, without a time limit.

    Args:
        name: the middle part of its id.
        kwargs: its settings.
    """
    return _OWN[name](**kwargs)
