"""A network of Frank's layers without a memory."""

import functools
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from frankrl.core.types import Observation
from frankrl.networks.encoder import Encoder
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.layout import Layout
from frankrl.networks.network import FeedForwardNetwork
from frankrl.networks.params import NetworkParams
from frankrl.networks.readout import Readout


@dataclass(frozen=True)
class LayeredNetwork(FeedForwardNetwork):
    """A network of Frank's layers: torsos, shared hidden layers, outputs for each action.

    It computes with NumPy, which is fastest for the few states of one acting step, and with JAX,
    which compiles it for learning.
    """

    encoder: Encoder
    readout: Readout

    @property
    def head(self) -> Head:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `QNetwork.head`."""
        return self.readout.head

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
        # With fractions there are several rows for each observation.
        """See `FeedForwardNetwork.relu_outputs`."""
        if self.readout.activation != "relu" or self.head.num_fractions:
            return []
        features = self.encoder.apply(params.torsos, observation)
        return self.readout.activations(params, features)

    @property
    def is_own_code(self) -> bool:
        """See `QNetwork.is_own_code`."""
        return self.encoder.is_own_code

    @property
    def repeats(self) -> bool:
        """See `QNetwork.repeats`."""
        return self.encoder.repeats

    @property
    def reads_pictures(self) -> bool:
        """See `QNetwork.reads_pictures`."""
        return self.encoder.reads_pictures

    @functools.cached_property
    def num_products(self) -> int:
        """See `QNetwork.num_products`."""
        shapes = self.shapes
        behind = Layout.of((shapes.hidden, shapes.output, shapes.head)).size
        return self.encoder.num_products + behind
