"""Spaces in Minari's JSON form, written and read.

A data set may come from anyone: reading checks everything, and makes nothing but spaces.
"""

import math
from typing import Any

import numpy as np
from gymnasium import spaces

from frankrl.environments.stored_numbers import whole, whole_array

_MAX_COMPONENTS = 1 << 24
"""Largest number of components of a space that is read, over all its parts."""
_MAX_SPACES, _MAX_AXES = 10_000, 32
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


def space_from_data(data: Any) -> spaces.Space:
    """The space that JSON data describe.

    Args:
        data: result of `space_to_data`, or anything else.

    Raises:
        ValueError: the data describe no space that is supported, or too large a one.
        TypeError, LookupError, AssertionError, OverflowError: they have another form.
    """
    return _Reader().space(data, _MAX_DEPTH)


class _Reader:
    """Reads one space, and counts what is in it while it does."""

    def __init__(self) -> None:
        self._num_spaces, self._num_components = 0, 0

    def space(self, data: Any, depth: int) -> spaces.Space:
        """The space that data describe, with no more spaces in each other than the depth."""
        if not depth:
            raise ValueError("its spaces are nested too deeply")
        self._num_spaces += 1
        if self._num_spaces > _MAX_SPACES:
            raise ValueError(f"a space of more than {_MAX_SPACES:,} parts is too large")
        match kind := data["type"]:
            case "Box":
                return self._box(data)
            case "Discrete":
                return spaces.Discrete(whole(data["n"], 1), start=whole(data["start"]))
            case "MultiDiscrete":
                return self._multi_discrete(data)
            case "MultiBinary":
                sizes = data["n"]
                if isinstance(sizes, int):
                    return spaces.MultiBinary(*self._shape([sizes]))
                return spaces.MultiBinary(self._shape(sizes))
            case "Dict":
                parts = dict(data["subspaces"])
                return spaces.Dict(
                    {_key(name): self.space(part, depth - 1) for name, part in parts.items()}
                )
            case "Tuple":
                return spaces.Tuple([self.space(part, depth - 1) for part in data["subspaces"]])
        raise ValueError(f"a space of the kind {kind!r:.40} is not supported")

    def _box(self, data: dict[str, Any]) -> spaces.Box:
        shape, dtype = self._shape(data["shape"]), np.dtype(str(data["dtype"]))
        if dtype.kind not in _DTYPE_KINDS:
            raise ValueError(f"a Box of {dtype} is not supported")
        low, high = (_bounds(data[name], shape, dtype) for name in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)

    def _multi_discrete(self, data: dict[str, Any]) -> spaces.MultiDiscrete:
        dtype, counts = np.dtype(str(data["dtype"])), whole_array(data["nvec"])
        if dtype.kind not in "iu":
            raise ValueError(f"a MultiDiscrete of {dtype} is not supported")
        self._shape(counts.shape)
        start = whole_array(data.get("start", np.zeros_like(counts).tolist()))
        return spaces.MultiDiscrete(counts, dtype.type, start=start)

    def _shape(self, data: Any) -> tuple[int, ...]:
        """The shape of a further array of components."""
        shape = tuple(whole(size, 0) for size in data)
        if len(shape) > _MAX_AXES:
            raise ValueError(f"a space of {len(shape):,} axes is too large")
        self._num_components += math.prod(shape)
        if self._num_components > _MAX_COMPONENTS:
            raise ValueError(
                f"a space of the shape {shape} is too large: more than {_MAX_COMPONENTS:,} numbers"
                + " with all that is beside it" * (self._num_spaces > 1)
            )
        return shape


def _key(name: str) -> str:
    """The key of a Dict space, which is also a name in the file of episodes."""
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"an entry of the name {name!r:.40} is not supported")
    return name


def _bounds(data: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    bounds = np.array(data, dtype)
    if bounds.shape != shape:
        raise ValueError(f"bounds of the shape {bounds.shape} where {shape} belongs")
    return bounds
