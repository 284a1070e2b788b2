"""The symmetries of environments of Gymnasium and of Frank's own, which do not declare them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from frankrl.environments.nine_squares import MIRROR_OF_ACTION, MIRROR_OF_SQUARE

MirrorDraw = Callable[[int, int, Any], Any]
"""From the index of a symmetry, the number of a random draw since the reset and the drawn value to
what the mirror image of the environment draws."""


class Declared(NamedTuple):
    """What an environment says of its symmetries, or what is known of it."""

    symmetries: Any
    """In the form of the attribute `symmetries`; empty: none."""
    mirror_draw: MirrorDraw | None
    """What its mirror image draws; None: not known."""


def may_have_known_symmetries(env_id: str) -> bool:
    """Whether Frank knows symmetries of an environment of this name, with some of its arguments."""
    return env_id in _KNOWN


def declared_symmetries(env: gymnasium.Env) -> Declared:
    """The attribute `symmetries` and the method `mirror_draw` of an environment; else what Frank
    knows of environments of that name."""
    try:
        symmetries = env.get_wrapper_attr("symmetries")
    except AttributeError:
        return _known(env)
    try:
        mirror_draw = env.get_wrapper_attr("mirror_draw")
    except AttributeError:
        mirror_draw = None
    return Declared(symmetries, mirror_draw if callable(mirror_draw) else None)


def _known(env: gymnasium.Env) -> Declared:
    name = env.spec.id if env.spec else ""
    # Wind blows from one side.
    if name == "LunarLander-v3" and getattr(env.unwrapped, "enable_wind", True):
        return _NONE
    return _KNOWN.get(name, _NONE)


def _negated(symmetry: int, number: int, drawn: Any) -> Any:
    return -drawn


def _mirrored_square(symmetry: int, number: int, drawn: Any) -> Any:
    return MIRROR_OF_SQUARE[int(drawn)]


def mirrored_landing(symmetry: int, number: int, drawn: Any) -> Any:
    """LunarLander draws 12 heights, of which the last one counts on both sides, the two parts of
    the first push, and in each step two shifts of the jets: along the lander and across it."""
    if number == 0:
        return np.concatenate((drawn[-2::-1], drawn[-1:]))
    is_sideways = number == 1 or (number > 2 and number % 2 == 0)
    return -drawn if is_sideways else drawn


_CART_POLE = (
    {"name": "left and right", "observation": {"signs": (-1, -1, -1, -1)}, "actions": (1, 0)},
)
_ACROBOT = (
    {
        "name": "left and right",
        "observation": {"signs": (1, -1, 1, -1, -1, -1)},
        "actions": (2, 1, 0),
    },
)
LANDER = (
    {
        "name": "left and right",
        "observation": {
            "components": (0, 1, 2, 3, 4, 5, 7, 6),
            "signs": (-1, 1, -1, 1, -1, -1, 1, 1),
        },
        "actions": (0, 3, 2, 1),
    },
)
_NINE_SQUARES = (
    {
        "name": "rows and columns",
        "observation": {"values": (MIRROR_OF_SQUARE,)},
        "actions": MIRROR_OF_ACTION,
    },
)
_NONE = Declared((), None)
_KNOWN = {
    "CartPole-v0": Declared(_CART_POLE, _negated),
    "CartPole-v1": Declared(_CART_POLE, _negated),
    "Acrobot-v1": Declared(_ACROBOT, _negated),
    "LunarLander-v3": Declared(LANDER, mirrored_landing),
    "frankrl/NineSquares-v0": Declared(_NINE_SQUARES, _mirrored_square),
    "frankrl/CartPole-functional-v0": Declared(_CART_POLE, None),
    "frankrl/Acrobot-functional-v0": Declared(_ACROBOT, None),
    "frankrl/NineSquares-functional-v0": Declared(_NINE_SQUARES, None),
}
