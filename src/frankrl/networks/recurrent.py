"""A network of Frank's layers with a memory."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation
from frankrl.networks.encoder import Encoder
from frankrl.networks.head import Head
from frankrl.networks.initializer import Initializer
from frankrl.networks.layout import Layout
from frankrl.networks.memory import GRU
from frankrl.networks.network import QNetwork
from frankrl.networks.params import NetworkParams
from frankrl.networks.readout import Readout


@dataclass(frozen=True)
class RecurrentNetwork(QNetwork):
    """A network whose memory sees one observation after the other, between torsos and layers.

    The hidden layers get what is remembered after an observation, and nothing else of it. So what
    is learned from sequences is learned in two parts: `remembered` gives the memory along them,
    and `readout` is a Q-function of that memory. Like a `LayeredNetwork` it computes with NumPy
    and with JAX.
    """

    encoder: Encoder
    memory: GRU
    readout: Readout

    @property
    def head(self) -> Head:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `QNetwork.head`."""
        return self.readout.head

    def _init(self, initializer: Initializer) -> NetworkParams:
        torsos = self.encoder.init(initializer)
        memory = self.memory.init(initializer, self.encoder.num_features)
        hidden, output, head = self.readout.init(initializer, self.memory.num_units)
        return NetworkParams(torsos, hidden, output, head, memory)

    @property
    def memory_units(self) -> int:
        """See `QNetwork.memory_units`."""
        return self.memory.num_units

    def initial_memory(self, batch_size: int) -> Float[np.ndarray, "batch unit"]:
        """See `QNetwork.initial_memory`."""
        return self.memory.initial(batch_size)

    def step(
        self,
        params: NetworkParams,
        observation: Observation,
        memory: Float[Any, "batch unit"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> tuple[Float[Any, "batch action *atom"], Float[Any, "batch unit"]]:
        """See `QNetwork.step`."""
        features = self.encoder.apply(params.torsos, observation)
        memory = self.memory.step(params.memory, features, memory)
        return self.readout.apply(params, memory, fractions), memory

    def remembered(
        self,
        params: NetworkParams,
        observation: Observation,
        is_shown: Bool[Any, "batch time"],
        memory: Float[Any, "batch unit"],
    ) -> Float[Any, "batch time unit"]:
        """The memory after each observation of some sequences.

        Args:
            params: θ, as JAX arrays.
            observation: sequences of observations; its leaves have the axes [batch, time, …].
            is_shown: where it is false, nothing was observed: the memory stays as it is.
            memory: before the first observation of each sequence.
        """
        rows = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), observation)
        features = self.encoder.apply(params.torsos, rows).reshape(*is_shown.shape, -1)
        return self.memory.sequence(params.memory, features, is_shown, memory)

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
        behind = Layout.of((shapes.memory, shapes.hidden, shapes.output, shapes.head)).size
        return self.encoder.num_products + behind
