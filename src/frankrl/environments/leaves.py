"""The leaves of an observation, how each is stored, and how they form the observation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Shaped

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.types import Scaling

Structure = int | dict[str, Any] | tuple[Any, ...]
"""The structure of an observation: indices of leaves in nested dicts and tuples."""

MASK_FIELD = "action_mask"
_LONE_FIELD = "observation"
"""Name of the field of a leaf without a name in a record that also has an action mask."""
_FLOAT, _BYTE, _INDEX = np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int32)
_LARGEST_SPAN = 1e6
"""Bounds further apart than this, such as ±3.4e38, are treated as unbounded."""


@dataclass(frozen=True)
class Leaf:
    """One leaf of an observation, stored in its own dtype and shape.

    Leaves compare and hash by value.
    """

    name: str
    """Path in the observation, such as `inner.pos` or `0`; empty if it is the only leaf."""
    shape: tuple[int, ...]
    dtype: np.dtype
    """Bytes and bits are uint8, numbered values int32, all other numbers float32."""
    num_values: tuple[int, ...] | None = None
    """Number of values of each index, for Discrete and MultiDiscrete; else None.

    An index starts at 0; the network gets it one-hot.
    """
    first_values: tuple[int, ...] | None = None
    """The environment's own number for index 0 of each."""
    low: tuple[float, ...] | None = None
    """Lower bounds of a Box, one for each component or a single one for all."""
    high: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """Number of components."""
        return math.prod(self.shape)

    def scaling(self, *, to_bounds: bool) -> Scaling:
        """How the network scales the leaf: bytes from 0 to 255 become 0 … 1.

        Args:
            to_bounds: scale every component with known bounds to -1 … 1.
        """
        if self.low is None or self.high is None:
            return Scaling()
        low, high = np.broadcast_arrays(np.array(self.low), np.array(self.high))
        is_picture = self.dtype == _BYTE and bool(np.all(low == 0) and np.all(high == 255))
        unbounded = 1 / 255 if is_picture else 1.0
        if not to_bounds:
            return Scaling(factor=(unbounded,))
        span = _span(low, high)
        bounded = (span > 0) & (span <= _LARGEST_SPAN)
        span = np.where(bounded, span, 1.0)
        offset = np.where(bounded, low + span / 2, 0.0)
        factor = np.where(bounded, 2 / span, unbounded)
        return Scaling(tuple(offset.tolist()), tuple(factor.tolist()))

    def too_wide(self) -> list[bool]:
        """For each component, whether it has finite bounds so far apart that they count as none."""
        if self.low is None or self.high is None:
            return [False] * self.size
        low, high = np.array(self.low), np.array(self.high)
        wide = np.isfinite(low) & np.isfinite(high) & ~(_span(low, high) <= _LARGEST_SPAN)
        return np.broadcast_to(wide, self.size).tolist()


def _span(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Distance of bounds; infinite or not a number where there are none."""
    with np.errstate(over="ignore", invalid="ignore"):
        return high - low


def leaves_of(space: spaces.Space, env_id: str) -> tuple[Leaf, ...]:
    """The leaves of a space, in the order in which JAX flattens an observation.

    Raises:
        EnvironmentUnusableError: a part of the space is not supported.
    """
    leaves = tuple(_leaves(space, "", _Refusal(space, env_id)))
    if not leaves:
        raise EnvironmentUnusableError(f"{env_id} has observations that hold nothing: {space}")
    names = [_field(leaf) for leaf in leaves]
    if twice := {name for name in names if names.count(name) > 1}:
        raise EnvironmentUnusableError(
            f"{env_id} has observations with two entries of the path {min(twice)!r}: rename one"
        )
    return leaves


def structure_of(space: spaces.Space) -> Structure:
    """The structure of the observations of a space."""
    count = iter(range(1 << 31))

    def structure(part: spaces.Space) -> Structure:
        if isinstance(part, spaces.Dict):
            return {name: structure(part[name]) for name in sorted(part.spaces)}
        if isinstance(part, spaces.Tuple):
            return tuple(structure(entry) for entry in part.spaces)
        return next(count)

    return structure(space)


def together(structure: Structure, leaves: Sequence[Any]) -> Any:
    """An observation made from its leaves: an array, or dicts and tuples of arrays."""
    if isinstance(structure, int):
        return leaves[structure]
    if isinstance(structure, dict):
        return {name: together(part, leaves) for name, part in structure.items()}
    return tuple(together(part, leaves) for part in structure)


def row_dtype(leaves: Sequence[Leaf], num_masked: int) -> np.dtype:
    """Dtype of a row: an observation in one piece, with its action mask if there is one.

    A single leaf without a mask is the row itself. Otherwise a row is a record with a field for
    each leaf. It has no padding, so that its bytes can be hashed.

    Args:
        leaves: leaves of the observation.
        num_masked: entries of the action mask; 0 if there is none.
    """
    if len(leaves) == 1 and not leaves[0].name and not num_masked:
        return leaves[0].dtype
    fields: list[Any] = [(_field(leaf), leaf.dtype, leaf.shape) for leaf in leaves]
    if num_masked:
        fields.append((MASK_FIELD, np.bool_, (num_masked,)))
    return np.dtype(fields)


def leaves_in(
    rows: Shaped[np.ndarray, "*batch"], num_leaves: int
) -> list[Shaped[np.ndarray, "*batch_and_leaf"]]:
    """The leaves of rows, as views."""
    if rows.dtype.names is None:
        return [rows]
    return [rows[name] for name in rows.dtype.names[:num_leaves]]


def _field(leaf: Leaf) -> str:
    return leaf.name or _LONE_FIELD


class _Refusal:
    """Makes the error that refuses an observation space because of one of its parts."""

    def __init__(self, space: spaces.Space, env_id: str) -> None:
        self.start = f"{env_id} has the observation space {space}"

    def __call__(self, what: str) -> EnvironmentUnusableError:
        return EnvironmentUnusableError(
            f"{self.start}: {what}; supported are Box, Discrete, MultiDiscrete, MultiBinary, "
            "and Dict and Tuple of these. A wrapper can leave a part out, such as Gymnasium's "
            'FilterObservation, or ImgObsWrapper for MiniGrid: see "Wrap an environment" in '
            "docs/environments.md"
        )


def _leaves(space: spaces.Space, path: str, refusal: _Refusal) -> Iterator[Leaf]:
    if isinstance(space, spaces.Dict):
        if not all(isinstance(name, str) for name in space.spaces):
            raise refusal(f"{_part(path)} has keys that are no strings")
        for name in sorted(space.spaces):
            yield from _leaves(space[name], _below(path, name), refusal)
    elif isinstance(space, spaces.Tuple):
        for number, entry in enumerate(space.spaces):
            yield from _leaves(entry, _below(path, str(number)), refusal)
    else:
        yield _leaf(space, path, refusal)


def _leaf(space: spaces.Space, path: str, refusal: _Refusal) -> Leaf:
    if isinstance(space, spaces.Box):
        kind = np.dtype(space.dtype)
        if kind.kind not in "biuf":
            raise refusal(f"{_part(path)} holds {kind} numbers")
        dtype = _BYTE if kind in (_BYTE, np.bool_) else _FLOAT
        low, high = _bounds(space.low), _bounds(space.high)
        return Leaf(path, space.shape, dtype, low=low, high=high)
    if isinstance(space, spaces.MultiBinary):
        return Leaf(path, space.shape, _BYTE)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        lone = isinstance(space, spaces.Discrete)
        counts = np.ravel(space.n if lone else space.nvec).tolist()
        if max(counts, default=0) > np.iinfo(_INDEX).max:
            raise refusal(f"{_part(path)} has more values than an index of 32 bits can number")
        starts = np.ravel(space.start).tolist()
        return Leaf(path, () if lone else space.shape, _INDEX, tuple(counts), tuple(starts))
    raise refusal(f"{_part(path)} is a {type(space).__name__}")


def _bounds(bounds: np.ndarray) -> tuple[float, ...]:
    """Bounds as plain numbers; a single number if all are equal, as for an image."""
    flat = bounds.ravel()
    return tuple((flat[:1] if (flat == flat[:1]).all() else flat).astype(np.float64).tolist())


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _part(path: str) -> str:
    return f"its entry {path!r}" if path else "it"
