"""Spaces in Minari's JSON form, written and read.

A data set may come from anyone: reading checks everything, and makes nothing but spaces.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

_MAX_COMPONENTS = 1 << 24
"""Largest number of components of a space that is read."""
_MAX_DEPTH = 32
_DTYPE_KINDS = "biuf"


def space_to_data(space: spaces.Space) -> dict[str, Any]:
    """A space as JSON data.

    Raises:
        ValueError: Frank has no such spaces.
    """
    match space:
        case spaces.Box():
            return {
                "type": "Box",
                "dtype": np.dtype(space.dtype).name,
                "shape": list(space.shape),
                "low": space.low.tolist(),
                "high": space.high.tolist(),
            }
        case spaces.Discrete():
            start, count = int(space.start), int(space.n)
            return {"type": "Discrete", "dtype": "int64", "start": start, "n": count}
        case spaces.MultiDiscrete():
            return {
                "type": "MultiDiscrete",
                "dtype": np.dtype(space.dtype).name,
                "nvec": np.asarray(space.nvec).tolist(),
                "start": np.asarray(space.start).tolist(),
            }
        case spaces.MultiBinary():
            shape = [int(size) for size in space.shape]
            return {"type": "MultiBinary", "n": shape[0] if len(shape) == 1 else shape}
        case spaces.Dict():
            parts = {name: space_to_data(part) for name, part in space.spaces.items()}
            return {"type": "Dict", "subspaces": parts}
        case spaces.Tuple():
            return {"type": "Tuple", "subspaces": [space_to_data(part) for part in space.spaces]}
    raise ValueError(f"a space of the kind {type(space).__name__} is not supported")


def space_from_data(data: Any, depth: int = _MAX_DEPTH) -> spaces.Space:
    """The space that JSON data describe.

    Args:
        data: result of `space_to_data`, or anything else.
        depth: how deeply spaces may be nested.

    Raises:
        ValueError: the data describe no space that is supported, or too large a one.
        TypeError, LookupError, AssertionError, OverflowError: they have another form.
    """
    if not depth:
        raise ValueError("its spaces are nested too deeply")
    kinds: dict[str, Callable[[], spaces.Space]] = {
        "Box": lambda: _box(data),
        "Discrete": lambda: _discrete(data),
        "MultiDiscrete": lambda: _multi_discrete(data),
        "MultiBinary": lambda: _multi_binary(data),
        "Dict": lambda: spaces.Dict(
            {_key(name): space_from_data(part, depth - 1) for name, part in _items(data)}
        ),
        "Tuple": lambda: spaces.Tuple(
            [space_from_data(part, depth - 1) for part in list(data["subspaces"])]
        ),
    }
    kind = data["type"]
    if kind not in kinds:
        raise ValueError(f"a space of the kind {kind!r:.40} is not supported")
    return kinds[kind]()


def _items(data: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(data["subspaces"].items())


def _key(name: str) -> str:
    """The key of a Dict space, which is also a name in the file of episodes."""
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"an entry of the name {name!r:.40} is not supported")
    return name


def _box(data: dict[str, Any]) -> spaces.Box:
    shape, dtype = _shape(data["shape"]), np.dtype(str(data["dtype"]))
    if dtype.kind not in _DTYPE_KINDS:
        raise ValueError(f"a Box of {dtype} is not supported")
    low, high = (_bounds(data[name], shape, dtype) for name in ("low", "high"))
    return spaces.Box(low, high, shape, dtype.type)


def _bounds(data: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    bounds = np.array(data, dtype)
    if bounds.shape != shape:
        raise ValueError(f"bounds of the shape {bounds.shape} where {shape} belongs")
    return bounds


def _discrete(data: dict[str, Any]) -> spaces.Discrete:
    return spaces.Discrete(_whole(data["n"], 1), start=_whole(data["start"]))


def _multi_discrete(data: dict[str, Any]) -> spaces.MultiDiscrete:
    dtype, counts = np.dtype(str(data["dtype"])), _whole_array(data["nvec"])
    if dtype.kind not in "iu":
        raise ValueError(f"a MultiDiscrete of {dtype} is not supported")
    start = _whole_array(data.get("start", np.zeros_like(counts).tolist()))
    return spaces.MultiDiscrete(counts, dtype.type, start=start)


def _multi_binary(data: dict[str, Any]) -> spaces.MultiBinary:
    sizes = data["n"]
    return spaces.MultiBinary(_whole(sizes, 1) if isinstance(sizes, int) else _shape(sizes))


def _shape(data: Any) -> tuple[int, ...]:
    shape = tuple(_whole(size, 0) for size in data)
    if math.prod(shape) > _MAX_COMPONENTS:
        raise ValueError(f"a space of the shape {shape} is too large")
    return shape


def _whole_array(data: Any) -> np.ndarray:
    array = np.array(data)
    if array.dtype.kind not in "iu":
        raise ValueError("numbers that are not whole")
    return array.astype(np.int64)


def _whole(value: Any, least: int | None = None) -> int:
    if type(value) is not int or (least is not None and value < least):
        raise ValueError(f"{value!r:.40} where a whole number belongs")
    return value
