"""Action masks: where an environment provides them, and how they are checked."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium import spaces
from jaxtyping import Bool

from frankrl.core.errors import EnvironmentUnusableError, FrankError

_KEY = "action_mask"
"""Key of the mask in the info of Gymnasium's own environments."""
_IN_OBSERVATION = (_KEY, "mask")
"""Keys under which a Dict observation may hold the mask, as in PettingZoo."""

MaskSource = Literal["nowhere", "info", "observation"]
"""Where an environment provides its action mask."""


class Entries(NamedTuple):
    """The keys of the state and of the mask in an observation that holds both."""

    state: tuple[str, ...]
    mask: str


def entries(space: spaces.Space, num_actions: int, env_id: str) -> Entries | None:
    """The keys of state and mask in an observation; None if it holds no mask.

    Raises:
        EnvironmentUnusableError: the mask is ambiguous or invalid, or there is no state.
    """
    if not isinstance(space, spaces.Dict):
        return None
    found = [name for name in _IN_OBSERVATION if _is_mask(space.get(name), num_actions)]
    declared = space.get(_KEY)
    if declared is not None and _KEY not in found:
        raise EnvironmentUnusableError(
            f"{env_id} has observations with an {_KEY} from {declared}; wanted is a "
            f"MultiBinary or a Box of zeros and ones, one for each of its {num_actions:,} actions"
        )
    if len(found) > 1:
        raise EnvironmentUnusableError(
            f"{env_id} has observations with two entries that could say which actions are "
            f"allowed, {' and '.join(found)}: leave one of them out"
        )
    if not found:
        return None
    state = tuple(name for name in space if name != found[0])
    if not state:
        raise EnvironmentUnusableError(
            f"{env_id} has observations that hold nothing but {found[0]}: no state is left"
        )
    return Entries(state, found[0])


def _is_mask(space: spaces.Space | None, num_actions: int) -> bool:
    if not isinstance(space, spaces.Box | spaces.MultiBinary):
        return False
    bits = isinstance(space, spaces.MultiBinary) or bool(
        np.all(space.low >= 0) and np.all(space.high <= 1)
    )
    return bits and math.prod(space.shape) == num_actions


def state_space(space: spaces.Space, found: Entries | None) -> spaces.Space:
    """The observation space without the mask; a single remaining entry becomes the space."""
    if found is None or not isinstance(space, spaces.Dict):
        return space
    if len(found.state) == 1:
        return space[found.state[0]]
    return spaces.Dict({name: space[name] for name in found.state})


def mask_in(info: Any) -> Any:
    """The mask in an environment's info, or None."""
    return info.get(_KEY) if isinstance(info, dict) else None


def checked_mask(
    given: Any, num_actions: int, mistake: Callable[[str], FrankError]
) -> Bool[np.ndarray, " action"]:
    """A checked action mask, with one entry per action.

    Args:
        given: the mask as an environment or a person gave it, or None.
        num_actions: number of actions.
        mistake: makes the error from a description of what is wrong.

    Raises:
        FrankError: the one that `mistake` makes.
    """
    if given is None:
        raise mistake("no action mask")
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise mistake("an action mask that is no array of numbers") from error
    if array.size != num_actions:
        raise mistake(
            f"an action mask of shape {array.shape}, where one entry for each of "
            f"{num_actions:,} actions belongs"
        )
    allowed = array == 1
    if not (allowed | (array == 0)).all():
        raise mistake("an action mask with entries other than 0 and 1")
    return allowed.ravel()
