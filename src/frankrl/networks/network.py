"""Q-networks: a definition without weights that computes Q(s, ·) from given parameters."""

import abc
import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation, Params
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer, SeededInitializer, ShapeInitializer
from frankrl.networks.layers import noise_size
from frankrl.networks.layout import Layout
from frankrl.networks.q_function import QFunction, masked


class QNetwork(abc.ABC):
    """How Q-values are computed from observations and from parameters that are kept apart.

    It compares and hashes by value. Whoever acts gives it one observation of each episode after
    the other, with the memory that it returned for the one before: `initial_memory`, then `q_step`
    again and again. What it learns from depends on its kind: a `FeedForwardNetwork` from single
    observations, a `RecurrentNetwork` from sequences.
    """

    head: Head
    """How the outputs for an action describe the return."""

    def __getstate__(self) -> dict[str, Any]:
        # Without what was computed from the fields: another process computes it again.
        fields = dataclasses.fields(self)  # pyright: ignore[reportArgumentType]
        return {field.name: getattr(self, field.name) for field in fields}

    def init(self, seed: int) -> Params:
        """The initial parameters of a run, as NumPy arrays."""
        return self._init(SeededInitializer(seed))

    @abc.abstractmethod
    def _init(self, initializer: Initializer) -> Params: ...

    @property
    @abc.abstractmethod
    def memory_units(self) -> int:
        """Numbers that it remembers of an episode; 0 without a memory."""

    @abc.abstractmethod
    def initial_memory(self, batch_size: int) -> Float[np.ndarray, "batch unit"] | None:
        """The memory at the start of an episode: zeros; None without a memory."""

    @abc.abstractmethod
    def step(
        self,
        params: Any,
        observation: Observation,
        memory: Float[Any, "batch unit"] | None,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> tuple[Float[Any, "batch action *atom"], Float[Any, "batch unit"] | None]:
        """Outputs for each action (`QFunction.apply`), and the memory after this observation.

        Args:
            params: θ; NumPy or JAX arrays, as the observations and the memory.
            observation: a batch of observations.
            memory: before this observation; None if and only if the network has none.
            fractions: fractions of the quantiles (only IQN); None: evenly spaced ones.
        """

    def q_step(
        self,
        params: Params,
        observation: Observation,
        mask: Bool[Any, "batch action"] | None,
        memory: Float[Any, "batch unit"] | None,
    ) -> tuple[Float[Any, "batch action"], Float[Any, "batch unit"] | None]:
        """Q(s, ·; θ), -∞ for actions that are not allowed, and the memory after this observation.

        Args:
            params: as for `step`.
            observation: as for `step`.
            mask: which actions are allowed; None: all.
            memory: as for `step`.
        """
        outputs, memory = self.step(params, observation, memory)
        return masked(self.head.q_values(outputs), mask), memory

    @functools.cached_property
    def shapes(self) -> Params:
        """Shapes of the parameters; allocates no memory."""
        return jax.eval_shape(lambda: self._init(ShapeInitializer()))

    @functools.cached_property
    def layout(self) -> Layout:
        """Position of each parameter in one vector."""
        return Layout.of(self.shapes)

    @property
    @abc.abstractmethod
    def is_own_code(self) -> bool:
        """Whether code of the user's own takes part, which computes with JAX only."""

    @property
    @abc.abstractmethod
    def repeats(self) -> bool:
        """Whether it computes the same each time; code of the user's own may not."""

    @property
    @abc.abstractmethod
    def reads_pictures(self) -> bool:
        """Whether it has convolutions over pictures."""

    @property
    def num_images(self) -> int:
        """Images of each observation that it computes with: itself, and by symmetries others."""
        return 1

    @functools.cached_property
    @abc.abstractmethod
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one observation: one for each weight, but in
        a convolution one for each weight and pixel."""

    @functools.cached_property
    def noise_size(self) -> int:
        """Standard normal numbers in one sample of its noise; 0 without noisy layers."""
        return noise_size(self.shapes)


class FeedForwardNetwork(QNetwork, QFunction):
    """A network without a memory: the observation alone decides its outputs."""

    @property
    def memory_units(self) -> int:
        """See `QNetwork.memory_units`."""
        return 0

    def initial_memory(self, batch_size: int) -> None:
        """See `QNetwork.initial_memory`."""
        return

    def step(
        self,
        params: Any,
        observation: Observation,
        memory: None,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> tuple[Float[Any, "batch action *atom"], None]:
        """See `QNetwork.step`."""
        return self.apply(params, observation, fractions), None

    def relu_outputs(self, params: Any, observation: Observation) -> list[Float[Any, "batch unit"]]:
        """Outputs of each hidden layer whose activation is relu, one row for each observation;
        empty if there is none, or none is known."""
        return []
