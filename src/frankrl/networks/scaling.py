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
    offset, factor = (_shaped(part, leaf.shape[1:]) for part in scaling)
    return (numbers - offset) * factor


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
