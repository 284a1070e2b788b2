"""The readout: maps features to the outputs for each action."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from frankrl.core.types import Params
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.layers import Layer, activate
from frankrl.networks.outputs import ActionOutputs, Dueling, Table
from frankrl.networks.params import NetworkParams
from frankrl.networks.q_function import QFunction


@dataclass(frozen=True)
class Readout(QFunction):
    """The hidden layers, the outputs for each action, and the head that gives them a meaning.

    It gets the features of observations; behind a memory, what is remembered after them.
    """

    hidden: tuple[Layer, ...]
    activation: str
    output: ActionOutputs | Dueling | Table
    head: Head

    def init(
        self, initializer: Initializer, num_features: int
    ) -> tuple[tuple[Params, ...], Params, Params]:
        """Initial parameters of the hidden layers, of the outputs and of the head."""
        size, hidden = num_features, []
        conditioned = size
        for index, layer in enumerate(self.hidden):
            hidden.append(layer.init(initializer, size))
            size = layer.num_outputs
            if index == 0:
                conditioned = size
        output = self.output.init(initializer, size)
        head = self.head.init(initializer, conditioned)
        return tuple(hidden), output, head

    def apply(
        self,
        params: NetworkParams,
        observation: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QFunction.apply`; the observation is the features before the hidden layers."""
        features = observation
        batch_size = features.shape[0]
        if not self.hidden:
            features = self.head.condition(params.head, features, fractions)
        hidden = self.activations(params, features, fractions)
        outputs = self.output.apply(params.output, hidden[-1] if hidden else features)
        return self.head.arrange(outputs, batch_size)

    def activations(
        self,
        params: NetworkParams,
        features: Float[Any, "batch feature"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> list[Float[Any, "row unit"]]:
        """Outputs of each hidden layer, after the activation function."""
        outputs = []
        for index, (layer, own) in enumerate(zip(self.hidden, params.hidden, strict=True)):
            features = activate(self.activation, layer.apply(own, features))
            if index == 0:
                features = self.head.condition(params.head, features, fractions)
            outputs.append(features)
        return outputs
