"""Initial parameters of a network."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from frankrl.core.random import Use, generator
from frankrl.core.types import Params

_GENERATOR = "threefry2x32"
"""JAX's own generator of random numbers, whatever the process has chosen."""


class Initializer(abc.ABC):
    """Makes the initial arrays of a network, one after the other."""

    @abc.abstractmethod
    def uniform(self, bound: float, *shape: int) -> Float[Any, "..."]:
        """Uniform random numbers between -bound and bound."""

    @abc.abstractmethod
    def constant(self, value: float, *shape: int) -> Float[Any, "..."]:
        """An array of one value."""

    @abc.abstractmethod
    def from_key(self, init: Callable[[Any], Params]) -> Params:
        """The parameters that a function makes from a key of `jax.random`."""


class SeededInitializer(Initializer):
    """The initial parameters of a run, as NumPy arrays; they depend only on its seed."""

    def __init__(self, seed: int) -> None:
        self._random = generator(seed, Use.NETWORK)

    def uniform(self, bound: float, *shape: int) -> Float[np.ndarray, "..."]:
        """See `Initializer.uniform`."""
        return self._random.uniform(-bound, bound, shape).astype(np.float32)

    def constant(self, value: float, *shape: int) -> Float[np.ndarray, "..."]:
        """See `Initializer.constant`."""
        return np.full(shape, value, np.float32)

    def from_key(self, init: Callable[[Any], Params]) -> Params:
        """See `Initializer.from_key`."""
        words = self._random.integers(2**32, size=2, dtype=np.uint32)
        key = jax.random.wrap_key_data(jnp.asarray(words), impl=_GENERATOR)
        return jax.tree.map(np.asarray, jax.jit(init)(key))


class ShapeInitializer(Initializer):
    """For `jax.eval_shape`, which gives the shapes without allocating memory."""

    def uniform(self, bound: float, *shape: int) -> Float[Any, "..."]:
        """See `Initializer.uniform`."""
        return jnp.zeros(shape, jnp.float32)

    def constant(self, value: float, *shape: int) -> Float[Any, "..."]:
        """See `Initializer.constant`."""
        return jnp.zeros(shape, jnp.float32)

    def from_key(self, init: Callable[[Any], Params]) -> Params:
        """See `Initializer.from_key`."""
        return init(jax.random.key(0, impl=_GENERATOR))
