"""A network of Frank's layers with a memory."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import Observation
from frankrl.networks.initializer import Initializer
from frankrl.networks.memory import GRU
from frankrl.networks.of_layers import NetworkOfLayers
from frankrl.networks.params import NetworkParams


@dataclass(frozen=True)
class RecurrentNetwork(NetworkOfLayers):
    """A network whose memory sees one observation after the other, between torsos and layers.

    The hidden layers get what is remembered after an observation, and nothing else of it. So what
    is learned from sequences is learned in two parts: `remembered` gives the memory along them,
    and `readout` is a Q-function of that memory.
    """

    memory: GRU

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
