"""Q-networks: a definition without weights that computes Q(s, ·) from given parameters."""

import abc
import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation, Params
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer, SeededInitializer, ShapeInitializer
from frankrl.networks.layers import Layer, activate, noise_size
from frankrl.networks.layout import Layout
from frankrl.networks.memory import GRU
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.own_functions import OwnTorso
from frankrl.networks.torsos import Torso


class NetworkParams(NamedTuple):
    """The parameters of a network of layers, θ."""

    torsos: tuple[Params, ...]
    hidden: tuple[Params, ...]
    output: Params
    head: Params
    memory: Params = ()
    """Of the layer that keeps a memory; empty without one."""


class QNetwork(abc.ABC):
    """How Q(s, ·) is computed from parameters that are kept apart. It compares and hashes by value.

    `init` makes the parameters of a run, `apply` computes the outputs for each action.
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

    @abc.abstractmethod
    def apply(
        self,
        params: Any,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """Outputs for each action: a Q-value, or a distribution of the return.

        Args:
            params: θ; NumPy or JAX arrays, as the observations.
            observation: a batch of observations.
            fractions: fractions of the quantiles (only IQN); None: evenly spaced ones.
        """

    def q_values(
        self,
        params: Params,
        observation: Observation,
        mask: Bool[Any, "batch action"] | None = None,
    ) -> Float[Any, "batch action"]:
        """Q(s, ·; θ); -∞ for actions that are not allowed."""
        return masked(self.head.q_values(self.apply(params, observation)), mask)

    @property
    def memory_units(self) -> int:
        """Numbers that it remembers of an episode; 0 without a memory."""
        return 0

    def initial_memory(self, batch_size: int) -> Float[np.ndarray, "batch unit"] | None:
        """The memory at the start of an episode: zeros; None without a memory."""
        return None

    def step(
        self,
        params: Any,
        observation: Observation,
        memory: Float[Any, "batch unit"] | None,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> tuple[Float[Any, "batch action *atom"], Float[Any, "batch unit"] | None]:
        """Outputs for each action as `apply` gives them, and the memory after this observation.

        Args:
            params: θ; NumPy or JAX arrays, as the observations and the memory.
            observation: a batch of observations.
            memory: before this observation; None for a network without a memory.
            fractions: as for `apply`.
        """
        return self.apply(params, observation, fractions), None

    def remembered(
        self,
        params: Any,
        observation: Observation,
        is_shown: Bool[Any, "batch time"],
        memory: Float[Any, "batch unit"],
    ) -> Float[Any, "batch time unit"]:
        """The memory after each observation of some sequences; only of a network that has one.

        Args:
            params: θ, as JAX arrays.
            observation: sequences of observations; its leaves have the axes [batch, time, …].
            is_shown: where it is false, nothing was observed: the memory stays as it is.
            memory: before the first observation of each sequence.
        """
        raise TypeError(f"{type(self).__name__} has no memory")

    def from_features(
        self,
        params: Any,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """Outputs for each action from what the hidden layers get; only of a network of layers.

        Args:
            params: θ; NumPy or JAX arrays, as the features.
            features: the memory after each observation; without a memory, the torsos' features.
            fractions: as for `apply`.
        """
        raise TypeError(f"{type(self).__name__} is not made of layers")

    def q_step(
        self,
        params: Params,
        observation: Observation,
        mask: Bool[Any, "batch action"] | None,
        memory: Float[Any, "batch unit"] | None,
    ) -> tuple[Float[Any, "batch action"], Float[Any, "batch unit"] | None]:
        """Q(s, ·; θ) as `q_values` gives it, and the memory after this observation."""
        outputs, memory = self.step(params, observation, memory)
        return masked(self.head.q_values(outputs), mask), memory

    def relu_outputs(self, params: Any, observation: Observation) -> list[Float[Any, "batch unit"]]:
        """Outputs of each hidden layer whose activation is relu, one row for each observation;
        empty if there is none, or none is known."""
        return []

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


@dataclass(frozen=True)
class LayeredNetwork(QNetwork):
    """A network of Frank's layers: torsos, shared hidden layers, outputs for each action.

    It computes with NumPy, which is fastest for the few states of one acting step, and with JAX,
    which compiles it for learning.
    """

    torsos: tuple[Torso, ...]
    """One for each leaf of an observation, in the order of `jax.tree.leaves`, whose features are
    concatenated; or a single one that reads whole observations."""
    hidden: tuple[Layer, ...]
    activation: str
    output: ActionOutputs | Dueling | Table
    head: Head
    memory: GRU | None = None
    """Between the torsos and the hidden layers: it gets the features of one observation after the
    other, and the hidden layers get what it remembers."""

    def _init(self, initializer: Initializer) -> NetworkParams:
        torsos = tuple(torso.init(initializer) for torso in self.torsos)
        size, hidden = sum(torso.num_features for torso in self.torsos), []
        memory: Params = ()
        if self.memory is not None:
            memory, size = self.memory.init(initializer, size), self.memory.num_units
        conditioned = size
        for index, layer in enumerate(self.hidden):
            hidden.append(layer.init(initializer, size))
            size = layer.num_outputs
            if index == 0:
                conditioned = size
        output = self.output.init(initializer, size)
        head = self.head.init(initializer, conditioned)
        return NetworkParams(torsos, tuple(hidden), output, head, memory)

    def apply(
        self,
        params: NetworkParams,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QNetwork.apply`."""
        return self.from_features(params, self._features(params, observation), fractions)

    @property
    def memory_units(self) -> int:
        """See `QNetwork.memory_units`."""
        return 0 if self.memory is None else self.memory.num_units

    def initial_memory(self, batch_size: int) -> Float[np.ndarray, "batch unit"] | None:
        """See `QNetwork.initial_memory`."""
        return None if self.memory is None else self.memory.initial(batch_size)

    def step(
        self,
        params: NetworkParams,
        observation: Observation,
        memory: Float[Any, "batch unit"] | None,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> tuple[Float[Any, "batch action *atom"], Float[Any, "batch unit"] | None]:
        """See `QNetwork.step`."""
        if self.memory is None:
            return self.apply(params, observation, fractions), None
        inputs = self._joined(params.torsos, observation)
        memory = self.memory.step(params.memory, inputs, memory)
        return self.from_features(params, memory, fractions), memory

    def remembered(
        self,
        params: NetworkParams,
        observation: Observation,
        is_shown: Bool[Any, "batch time"],
        memory: Float[Any, "batch unit"],
    ) -> Float[Any, "batch time unit"]:
        """See `QNetwork.remembered`."""
        if self.memory is None:
            raise TypeError("this network has no memory")
        rows = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), observation)
        inputs = self._joined(params.torsos, rows).reshape(*is_shown.shape, -1)
        return self.memory.sequence(params.memory, inputs, is_shown, memory)

    def from_features(
        self,
        params: NetworkParams,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QNetwork.from_features`."""
        batch_size = features.shape[0]
        if not self.hidden:
            features = self.head.condition(params.head, features, fractions)
        hidden = self._activations(params, features, fractions)
        outputs = self.output.apply(params.output, hidden[-1] if hidden else features)
        return self.head.arrange(outputs, batch_size)

    def activations(
        self, params: NetworkParams, observation: Observation
    ) -> list[Float[Any, "row unit"]]:
        """Outputs of each hidden layer, after the activation function."""
        return self._activations(params, self._features(params, observation), None)

    def relu_outputs(
        self, params: NetworkParams, observation: Observation
    ) -> list[Float[Any, "batch unit"]]:
        """See `QNetwork.relu_outputs`."""
        # With fractions there are several rows for each observation.
        if self.activation != "relu" or self.head.num_fractions:
            return []
        return self.activations(params, observation)

    def _activations(
        self,
        params: NetworkParams,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None,
    ) -> list[Float[Any, "row unit"]]:
        outputs = []
        for index, (layer, own) in enumerate(zip(self.hidden, params.hidden, strict=True)):
            features = activate(self.activation, layer.apply(own, features))
            if index == 0:
                features = self.head.condition(params.head, features, fractions)
            outputs.append(features)
        return outputs

    def _features(
        self, params: NetworkParams, observation: Observation
    ) -> Float[Any, "batch feature"]:
        """What the hidden layers get, if observations alone decide it."""
        if self.memory is not None:
            raise TypeError("a network with a memory computes from it as well: use `step`")
        return self._joined(params.torsos, observation)

    def _joined(
        self, params: tuple[Params, ...], observation: Observation
    ) -> Float[Any, "batch feature"]:
        if len(self.torsos) == 1 and (hasattr(observation, "shape") or self.is_own_code):
            return self.torsos[0].apply(params[0], observation)
        leaves = jax.tree.leaves(observation)
        parts = [
            torso.apply(own, leaf)
            for torso, own, leaf in zip(self.torsos, params, leaves, strict=True)
        ]
        return parts[0].__array_namespace__().concat(parts, axis=1)

    @property
    def is_own_code(self) -> bool:
        """See `QNetwork.is_own_code`."""
        return isinstance(self.torsos[0], OwnTorso)

    @property
    def repeats(self) -> bool:
        """See `QNetwork.repeats`."""
        return all(torso.functions.repeats for torso in self.torsos if isinstance(torso, OwnTorso))

    @property
    def reads_pictures(self) -> bool:
        """See `QNetwork.reads_pictures`."""
        return any(torso.num_products for torso in self.torsos)

    @functools.cached_property
    def num_products(self) -> int:
        """See `QNetwork.num_products`."""
        shapes = self.shapes
        weights = (shapes.memory, shapes.hidden, shapes.output, shapes.head)
        return Layout.of(weights).size + sum(torso.num_products for torso in self.torsos)


def masked(
    q_values: Float[Any, "batch action"], mask: Bool[Any, "batch action"] | None
) -> Float[Any, "batch action"]:
    """Q-values with -∞ for every action that is not allowed, so that no maximum picks it."""
    if mask is None:
        return q_values
    return q_values.__array_namespace__().where(mask, q_values, -np.inf)
