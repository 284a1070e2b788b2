"""From what an environment gives to arrays: the state, and which actions are allowed in it."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium import spaces

from frankrl.core.errors import EnvironmentUnusableError

_KEY = "action_mask"
"""What Gymnasium's own environments call it, in their info."""
_IN_OBSERVATION = (_KEY, "mask")
"""Entries that may hold it in an observation with named parts, as PettingZoo's do."""

MaskSource = Literal["nowhere", "info", "observation"]
"""Where an environment says which actions are allowed."""
Encode = Callable[[Any, Any], tuple[np.ndarray, Any]]
"""From an observation and its info to the state as an array, and the mask as it was given."""


class StateEncoding(NamedTuple):
    """How states are stored."""

    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float
    """Factor that brings a stored state to the network's range."""
    encode: Callable[[Any], np.ndarray]


class Entries(NamedTuple):
    """The parts of an observation that holds a mask beside the state."""

    state: tuple[str, ...]
    mask: str


def entries(space: spaces.Space, num_actions: int, env_id: str) -> Entries | None:
    """Which entries of an observation are the state and which is the mask; none if none is.

    Raises:
        EnvironmentUnusableError: that cannot be told, or nothing is left for the state.
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
    """The observation space without the mask; a single entry that is left stands alone."""
    if found is None or not isinstance(space, spaces.Dict):
        return space
    if len(found.state) == 1:
        return space[found.state[0]]
    return spaces.Dict({name: space[name] for name in found.state})


def mask_in(info: Any) -> Any:
    """The mask that an environment's info holds, or None."""
    return info.get(_KEY) if isinstance(info, dict) else None


def encoder(encode_state: Callable[[Any], np.ndarray], found: Entries | None) -> Encode:
    """From an observation and its info to the state as an array and the mask as given.

    Args:
        encode_state: from the state to an array.
        found: the entries of the observation; none: the mask is in the info, if anywhere.
    """

    def from_info(observation: Any, info: Any) -> tuple[np.ndarray, Any]:
        return encode_state(observation), mask_in(info)

    if found is None:
        return from_info
    names, key = found

    def from_observation(observation: Any, info: Any) -> tuple[np.ndarray, Any]:
        alone = len(names) == 1
        state = observation[names[0]] if alone else {name: observation[name] for name in names}
        return encode_state(state), observation.get(key)

    return from_observation


def state_encoding(space: spaces.Space, env_id: str) -> StateEncoding:
    """How states of a space are stored.

    Raises:
        EnvironmentUnusableError: they have no fixed number of components.
    """
    float32, byte = np.dtype(np.float32), np.dtype(np.uint8)
    if isinstance(space, spaces.Box):
        if space.dtype == byte:
            full = bool(np.all(space.high == 255) and np.all(space.low == 0))
            return StateEncoding(space.shape, byte, 1 / 255 if full else 1.0, np.asarray)
        return StateEncoding(space.shape, float32, 1.0, np.asarray)
    zero_one = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    try:
        flat = spaces.flatten_space(space)
    except NotImplementedError as error:
        raise EnvironmentUnusableError(
            f"{env_id} has the observation space {space}, which Gymnasium cannot flatten"
        ) from error
    if not isinstance(flat, spaces.Box):
        raise EnvironmentUnusableError(
            f"{env_id} has the observation space {space}, which does not flatten to numbers "
            "of a fixed shape"
        )
    dtype = byte if isinstance(space, zero_one) else float32

    def encode(given: Any) -> np.ndarray:
        if not space.contains(given):
            raise ValueError(f"{given!r} does not lie in {space}")
        return np.asarray(spaces.flatten(space, given))

    return StateEncoding(flat.shape, dtype, 1.0, encode)
