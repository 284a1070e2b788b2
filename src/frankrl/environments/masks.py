"""Action masks: where an environment provides them, and how they are checked."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool

from frankrl.core.errors import EnvironmentUnusableError, FrankError

AUTO, OFF = "auto", "off"
"""Values of the setting `action_mask` that are no key."""
_KEY = "action_mask"
"""Key of the mask in the info of Gymnasium's own environments."""
_IN_OBSERVATION = (_KEY, "mask")
"""Keys under which a Dict observation may hold the mask, as in PettingZoo."""
_METHOD = "action_masks"
"""Method that returns the mask of the current state, by the convention of sb3-contrib."""

MaskSource = Literal["nowhere", "info", "observation", "method"]
"""Where an environment provides its action mask."""


class Entries(NamedTuple):
    """The keys of the state and of the mask in an observation that holds both."""

    state: tuple[str, ...]
    mask: str


def entries(
    space: spaces.Space, num_actions: int, env_id: str, setting: str = AUTO
) -> Entries | None:
    """The keys of state and mask in an observation; None if it holds no mask.

    Args:
        space: the observation space.
        num_actions: number of actions.
        env_id: name of the environment, for errors.
        setting: the setting `action_mask`.

    Raises:
        EnvironmentUnusableError: the mask is ambiguous or invalid, or there is no state.
    """
    if not isinstance(space, spaces.Dict) or setting == OFF:
        return None
    declared, possible = (_KEY, _IN_OBSERVATION) if setting == AUTO else (setting, (setting,))
    found = [name for name in possible if _is_mask(space.get(name), num_actions)]
    if declared in space.spaces and declared not in found:
        raise EnvironmentUnusableError(
            f"{env_id} has observations with an {declared} from {space[declared]}; wanted is a "
            f"MultiBinary or a Box of zeros and ones, one for each of its {num_actions:,} actions"
        )
    if len(found) > 1:
        raise EnvironmentUnusableError(
            f"{env_id} has observations with two entries that could say which actions are "
            f"allowed, {' and '.join(found)}: name one of them with action_mask"
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


def mask_in(info: Any, key: str) -> Any:
    """The mask in an environment's info, or None."""
    return info.get(key) if isinstance(info, dict) else None


def mask_method(env: gymnasium.Env) -> Callable[[], Any] | None:
    """The method that returns the mask of the current state, if there is one."""
    try:
        method = env.get_wrapper_attr(_METHOD)
    except AttributeError:
        return None
    return method if callable(method) else None


def source_outside(env: gymnasium.Env, env_id: str, setting: str) -> tuple[MaskSource, str]:
    """Where an environment provides a mask that its observations do not hold, and the key.

    The spaces do not show it, so the environment is reset once; a functional one tells by itself,
    because its reset would have to be compiled.

    Raises:
        EnvironmentUnusableError: the setting names a key that is nowhere.
    """
    if setting == OFF:
        return "nowhere", ""
    key = _KEY if setting == AUTO else setting
    try:
        told: Any = getattr(env.unwrapped, "first_info", None)
        info = env.reset(seed=0)[1] if told is None else told()
    except (Exception, SystemExit):
        # It will fail again in the run, which reports the error with its place.
        return "nowhere", key
    if mask_in(info, key) is not None:
        return "info", key
    if setting in (AUTO, _METHOD) and mask_method(env) is not None:
        return "method", ""
    if setting == AUTO:
        return "nowhere", key
    parts = list(env.observation_space) if isinstance(env.observation_space, spaces.Dict) else []
    keys = list(info) if isinstance(info, dict) else []
    raise EnvironmentUnusableError(
        f"action_mask is {setting!r}, but {env_id} has no such entry in its observations "
        f"({_listed(parts)}) or in the info of its first reset ({_listed(keys)})"
    )


def _listed(names: list[Any]) -> str:
    return ", ".join(map(str, names)) if names else "which hold none"


def in_words(source: MaskSource, key: str) -> str:
    """Where the mask is read from, for people; empty without masks."""
    match source:
        case "nowhere":
            return ""
        case "info":
            return f'info["{key}"]'
        case "observation":
            return f'the entry "{key}" of the observations'
        case "method":
            return f"the method {_METHOD}()"


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
