"""The description of an environment as plain data, and back.

A run stores it in its checkpoints, so an agent acts without its environment. It may come from
anyone: reading it checks everything, and imports and makes nothing but spaces.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces

from frankrl.config.families import ATARI
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.text import shown
from frankrl.environments.facts import EnvironmentFacts, spec_of
from frankrl.environments.masks import MaskSource
from frankrl.environments.preprocessing import Preprocessing
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.stored_numbers import whole, whole_array
from frankrl.environments.symmetry import symmetries_of, symmetries_to_data

_MAX_COMPONENTS = 1 << 24
"""Largest number of components of a space that is read."""
_MAX_DEPTH = 32
_OUTSIDE: tuple[MaskSource, ...] = ("nowhere", "info", "method")
"""Where a mask is that the observations do not hold."""
_DTYPE_KINDS = "biuf"
_T = TypeVar("_T", bound=str)
_INVALID = (ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError)
"""What reading data of another form raises."""


def spec_to_data(spec: EnvironmentSpec) -> dict[str, Any]:
    """The description as JSON data, without the environment's name, arguments and wrappers."""
    return {
        "observation_space": _space_to_data(spec.observation_space),
        "num_actions": spec.num_actions,
        "first_action": spec.first_action,
        "reward_threshold": spec.reward_threshold,
        "masks_from": spec.masks_from,
        "mask_key": spec.mask_key,
        "mask_setting": spec.mask_setting,
        "made_by": spec.made_by,
        "can_be_filmed": spec.can_be_filmed,
        "has_time_limit": spec.has_time_limit,
        "running_statistics": list(spec.running_statistics),
        "own_action_names": list(spec.own_action_names),
        "symmetries": symmetries_to_data(spec.symmetries, spec.leaves),
        "preprocessing": spec.preprocessing.to_data(),
    }


def spec_from_data(
    data: Any, env_id: str, env_kwargs: Mapping[str, Any], wrappers: Sequence[str] = ()
) -> EnvironmentSpec:
    """The description of an environment from its stored data.

    Args:
        data: result of `spec_to_data`, or anything else.
        env_id: the environment's name.
        env_kwargs: its arguments.
        wrappers: names of its wrappers.

    Raises:
        RunFolderError: the data are not valid.
    """
    try:
        threshold = data["reward_threshold"]
        source = _one_of(data["masks_from"], (*_OUTSIDE, "observation"))
        key, first = str(data["mask_key"]), whole(data["first_action"])
        facts = EnvironmentFacts(
            observation_space=_space_from_data(data["observation_space"], _MAX_DEPTH),
            action_space=spaces.Discrete(whole(data["num_actions"], 1), start=first),
            reward_threshold=None if threshold is None else _finite(threshold),
            mask_outside=lambda: (_one_of(source, _OUTSIDE), key),
            made_by=str(data["made_by"]),
            can_be_filmed=bool(data["can_be_filmed"]),
            has_time_limit=bool(data["has_time_limit"]),
            running_statistics=tuple(map(str, data["running_statistics"])),
            own_action_names=tuple(map(str, data["own_action_names"])),
        )
        preprocessing = Preprocessing.from_data(data["preprocessing"])
        if (preprocessing.atari is not None) != ATARI.has(env_id):
            raise ValueError("only an Atari game, ALE/…, has settings of Atari games")
        mask = str(data["mask_setting"])
        spec = spec_of(facts, env_id, env_kwargs, mask, preprocessing, wrappers)
        found = symmetries_of(data["symmetries"], spec.leaves, spec.num_actions)
        return replace(spec, symmetries=found)
    except (FrankError, *_INVALID) as error:
        raise RunFolderError(
            f"the checkpoint's description of {env_id} is not valid: {shown(error)}"
        ) from error


def _space_to_data(space: spaces.Space) -> dict[str, Any]:
    match space:
        case spaces.Box():
            return {
                "kind": "Box",
                "shape": list(space.shape),
                "dtype": np.dtype(space.dtype).name,
                "low": _numbers(space.low),
                "high": _numbers(space.high),
            }
        case spaces.Discrete():
            return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete():
            return {
                "kind": "MultiDiscrete",
                "nvec": np.asarray(space.nvec).tolist(),
                "start": np.asarray(space.start).tolist(),
            }
        case spaces.MultiBinary():
            return {"kind": "MultiBinary", "shape": list(space.shape)}
        case spaces.Dict():
            parts = {name: _space_to_data(part) for name, part in space.spaces.items()}
            return {"kind": "Dict", "spaces": parts}
        case spaces.Tuple():
            return {"kind": "Tuple", "spaces": [_space_to_data(part) for part in space.spaces]}
    raise TypeError(f"a space of the kind {type(space).__name__} is not stored")


def _space_from_data(data: dict[str, Any], depth: int) -> spaces.Space:
    if not depth:
        raise ValueError("its spaces are nested too deeply")
    kinds: dict[str, Callable[[dict[str, Any]], spaces.Space]] = {
        "Box": _box,
        "Discrete": lambda data: spaces.Discrete(whole(data["n"], 1), start=whole(data["start"])),
        "MultiDiscrete": lambda data: spaces.MultiDiscrete(
            whole_array(data["nvec"]), start=whole_array(data["start"])
        ),
        "MultiBinary": _multi_binary,
        "Dict": lambda data: spaces.Dict(
            {name: _space_from_data(part, depth - 1) for name, part in data["spaces"].items()}
        ),
        "Tuple": lambda data: spaces.Tuple(
            [_space_from_data(part, depth - 1) for part in data["spaces"]]
        ),
    }
    return kinds[_one_of(data["kind"], tuple(kinds))](data)


def _multi_binary(data: dict[str, Any]) -> spaces.MultiBinary:
    shape = _shape(data["shape"])
    return spaces.MultiBinary(shape[0] if len(shape) == 1 else shape)


def _box(data: dict[str, Any]) -> spaces.Box:
    shape, dtype = _shape(data["shape"]), np.dtype(str(data["dtype"]))
    if dtype.kind not in _DTYPE_KINDS:
        raise ValueError(f"a Box of {dtype}")
    low, high = (_array(data[name], shape, dtype) for name in ("low", "high"))
    return spaces.Box(low, high, shape, dtype.type)


def _numbers(array: np.ndarray) -> list[Any]:
    """The numbers of an array, a single one if all are equal; JSON has no infinity, so by name."""
    flat = array.ravel()
    kept = flat[:1] if len(flat) and (flat == flat[0]).all() else flat
    return [str(number) if not np.isfinite(number) else number.item() for number in kept]


def _array(data: list[Any], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    numbers = np.array([float(part) if isinstance(part, str) else part for part in data], dtype)
    return np.full(shape, numbers[0]) if len(numbers) == 1 else numbers.reshape(shape)


def _shape(data: Any) -> tuple[int, ...]:
    shape = tuple(whole(size, 0) for size in data)
    if math.prod(shape) > _MAX_COMPONENTS:
        raise ValueError(f"a space of the shape {shape} is too large")
    return shape


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} where a number belongs")
    return float(value)


def _one_of(value: Any, allowed: tuple[_T, ...]) -> _T:
    if value not in allowed:
        raise ValueError(f"{value!r:.40} where one of {', '.join(allowed)} belongs")
    return value
