"""The symmetries of environments of Gymnasium and of Frank's own, which do not declare them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from frankrl.environments.nine_squares import MIRROR_OF_ACTION, MIRROR_OF_SQUARE

MirrorDraw = Callable[[int, int, Any], Any]
"""From the index of a symmetry, the number of a random draw since the reset and the drawn value to
what the mirror image of the environment draws."""


class Known(NamedTuple):
    """What is known of an environment."""

    declared: tuple[Mapping[str, Any], ...]
    """Its symmetries, in the form of the attribute `symmetries`."""
    mirror_draw: MirrorDraw | None
    """What its mirror image draws; None: not known."""
    only_if: Callable[[gymnasium.Env], bool] = lambda env: True
    """Whether they hold with the arguments with which it was made."""


def known_symmetries(env: gymnasium.Env) -> Known | None:
    """What Frank knows of the symmetries of an environment; None: nothing."""
    known = _KNOWN.get(env.spec.id) if env.spec else None
    return known if known is not None and known.only_if(env.unwrapped) else None


def _negated(symmetry: int, number: int, drawn: Any) -> Any:
    return -drawn


def _mirrored_landing(symmetry: int, number: int, drawn: Any) -> Any:
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
_LANDER = (
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
_KNOWN = {
    "CartPole-v0": Known(_CART_POLE, _negated),
    "CartPole-v1": Known(_CART_POLE, _negated),
    "Acrobot-v1": Known(_ACROBOT, _negated),
    "LunarLander-v3": Known(
        _LANDER, _mirrored_landing, lambda env: not getattr(env, "enable_wind", True)
    ),
    "frankrl/NineSquares-v0": Known(
        _NINE_SQUARES, lambda symmetry, number, drawn: MIRROR_OF_SQUARE[int(drawn)]
    ),
    "frankrl/CartPole-functional-v0": Known(_CART_POLE, None),
    "frankrl/Acrobot-functional-v0": Known(_ACROBOT, None),
    "frankrl/NineSquares-functional-v0": Known(_NINE_SQUARES, None),
}
