"""Where initial weights come from."""

import abc
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from frankrl.core.random import Use, generator


class Initializer(abc.ABC):
    """Gives the arrays that a network begins with, in the order in which they are asked for."""

    @abc.abstractmethod
    def uniform(self, bound: float, *shape: int) -> Float[Any, "..."]:
        """Numbers between -bound and bound."""

    @abc.abstractmethod
    def constant(self, value: float, *shape: int) -> Float[Any, "..."]:
        """The same number everywhere."""


class SeededInitializer(Initializer):
    """The initial weights of a run, as NumPy arrays: a function of its seed alone."""

    def __init__(self, seed: int) -> None:
        self._random = generator(seed, Use.NETWORK)

    def uniform(self, bound: float, *shape: int) -> Float[np.ndarray, "..."]:
        return self._random.uniform(-bound, bound, shape).astype(np.float32)

    def constant(self, value: float, *shape: int) -> Float[np.ndarray, "..."]:
        return np.full(shape, value, np.float32)


class ShapeInitializer(Initializer):
    """Arrays without contents, for `jax.eval_shape`: shapes are known before memory is taken."""

    def uniform(self, bound: float, *shape: int) -> Float[Any, "..."]:
        return jnp.zeros(shape, jnp.float32)

    def constant(self, value: float, *shape: int) -> Float[Any, "..."]:
        return jnp.zeros(shape, jnp.float32)
