"""Q-networks: a definition without weights that computes Q(s, ·) from given parameters."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation, Params
from frankrl.networks.head import Head
from frankrl.networks.initializer import SeededInitializer, ShapeInitializer
from frankrl.networks.layers import Layer, activate, noise_size
from frankrl.networks.layout import Layout
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.torsos import Torso


class NetworkParams(NamedTuple):
    """The parameters of a Q-network, θ."""

    torsos: tuple[Params, ...]
    hidden: tuple[Params, ...]
    output: Params
    head: Params


@dataclass(frozen=True)
class QNetwork:
    """How Q(s, ·) is computed: one torso per leaf, shared hidden layers, outputs for each action.

    It holds no weights, and compares and hashes by value. It computes with NumPy, which is
    fastest for the few states of one acting step, and with JAX, which compiles it for learning.
    """

    torsos: tuple[Torso, ...]
    """One for each leaf of an observation, in the order of `jax.tree.leaves`; their features are
    concatenated."""
    hidden: tuple[Layer, ...]
    activation: str
    output: ActionOutputs | Dueling | Table
    head: Head

    def __getstate__(self) -> dict[str, Any]:
        # Without what was computed from the fields: another process computes it again.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def init(self, seed: int) -> NetworkParams:
        """The initial parameters of a run, as NumPy arrays."""
        return self._init(SeededInitializer(seed))

    def _init(self, initializer: Any) -> NetworkParams:
        torsos = tuple(torso.init(initializer) for torso in self.torsos)
        size, hidden = sum(torso.num_features for torso in self.torsos), []
        conditioned = size
        for index, layer in enumerate(self.hidden):
            hidden.append(layer.init(initializer, size))
            size = layer.num_outputs
            if index == 0:
                conditioned = size
        output = self.output.init(initializer, size)
        return NetworkParams(
            torsos, tuple(hidden), output, self.head.init(initializer, conditioned)
        )

    def apply(
        self,
        params: NetworkParams,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """Outputs for each action: a Q-value, or a distribution of the return.

        Args:
            params: θ; NumPy or JAX arrays, as the observations.
            observation: a batch of observations.
            fractions: fractions of the quantiles (only IQN); None: evenly spaced ones.
        """
        features = self._joined(params.torsos, observation)
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
        features = self._joined(params.torsos, observation)
        return self._activations(params, features, None)

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

    def _joined(
        self, params: tuple[Params, ...], observation: Observation
    ) -> Float[Any, "batch feature"]:
        if len(self.torsos) == 1 and hasattr(observation, "shape"):
            return self.torsos[0].apply(params[0], observation)
        leaves = jax.tree.leaves(observation)
        parts = [
            torso.apply(own, leaf)
            for torso, own, leaf in zip(self.torsos, params, leaves, strict=True)
        ]
        return parts[0].__array_namespace__().concat(parts, axis=1)

    def q_values(
        self,
        params: NetworkParams,
        observation: Observation,
        mask: Bool[Any, "batch action"] | None = None,
    ) -> Float[Any, "batch action"]:
        """Q(s, ·; θ); -∞ for actions that are not allowed."""
        return masked(self.head.q_values(self.apply(params, observation)), mask)

    @functools.cached_property
    def shapes(self) -> NetworkParams:
        """Shapes of the parameters; allocates no memory."""
        return jax.eval_shape(lambda: self._init(ShapeInitializer()))

    @functools.cached_property
    def layout(self) -> Layout:
        """Position of each parameter in one vector."""
        return Layout.of(self.shapes)

    @property
    def reads_pictures(self) -> bool:
        """Whether it has convolutions over pictures."""
        return any(torso.num_products for torso in self.torsos)

    @functools.cached_property
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one observation: one for each weight, but in
        a convolution one for each weight and pixel."""
        weights = (self.shapes.hidden, self.shapes.output, self.shapes.head)
        return Layout.of(weights).size + sum(torso.num_products for torso in self.torsos)

    @functools.cached_property
    def noise_size(self) -> int:
        """Standard normal numbers in one sample of its noise; 0 without noisy layers."""
        return noise_size(self.shapes)


def masked(
    q_values: Float[Any, "batch action"], mask: Bool[Any, "batch action"] | None
) -> Float[Any, "batch action"]:
    """Q-values with -∞ for every action that is not allowed, so that no maximum picks it."""
    if mask is None:
        return q_values
    return q_values.__array_namespace__().where(mask, q_values, -np.inf)
