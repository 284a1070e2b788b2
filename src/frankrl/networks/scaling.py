"""Fixed scaling of observations before the network."""

import functools
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from frankrl.core.types import Scaling


def scaled(leaf: Shaped[Any, "batch *shape"], scaling: Scaling) -> Float[Any, "batch *shape"]:
    """A leaf as float32, scaled component by component."""
    numbers = leaf.astype(np.float32)
    if scaling == Scaling():
        return numbers
    offset, factor = scaling_numbers(scaling, leaf.shape[1:])
    return (numbers - offset) * factor


def scaling_numbers(
    scaling: Scaling, shape: tuple[int, ...]
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """The offset and the factor of a scaling as arrays for leaves of that shape."""
    return _shaped(scaling.offset, shape), _shaped(scaling.factor, shape)


@functools.lru_cache(maxsize=64)
def _shaped(part: tuple[float, ...], shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """The numbers of a scaling, one for all components or one for each of one observation.

    The observations of a stack, along the first axis, share theirs.
    """
    numbers = np.asarray(part, np.float32)
    if numbers.size == 1:
        return numbers
    stack = int(np.prod(shape)) // numbers.size
    return np.tile(numbers, stack).reshape(shape)
