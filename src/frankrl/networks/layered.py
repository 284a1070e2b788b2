"""A network of Frank's layers without a memory."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from frankrl.core.types import Observation
from frankrl.networks.initializer import Initializer
from frankrl.networks.network import FeedForwardNetwork
from frankrl.networks.of_layers import NetworkOfLayers
from frankrl.networks.params import NetworkParams


@dataclass(frozen=True)
class LayeredNetwork(  # pyright: ignore[reportIncompatibleVariableOverride]
    NetworkOfLayers, FeedForwardNetwork
):
    """A network of Frank's layers: torsos, shared hidden layers, outputs for each action."""

    def _init(self, initializer: Initializer) -> NetworkParams:
        torsos = self.encoder.init(initializer)
        hidden, output, head = self.readout.init(initializer, self.encoder.num_features)
        return NetworkParams(torsos, hidden, output, head)

    def apply(
        self,
        params: NetworkParams,
        observation: Observation,
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        """See `QFunction.apply`."""
        features = self.encoder.apply(params.torsos, observation)
        return self.readout.apply(params, features, fractions)

    def relu_outputs(
        self, params: NetworkParams, observation: Observation
    ) -> list[Float[Any, "batch unit"]]:
        """See `FeedForwardNetwork.relu_outputs`."""
        # With fractions there are several rows for each observation.
        if self.readout.activation != "relu" or self.head.num_fractions:
            return []
        features = self.encoder.apply(params.torsos, observation)
        return self.readout.activations(params, features)
