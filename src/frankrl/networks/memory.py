"""A memory of an episode: a layer that sees one observation after the other and keeps a state."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from frankrl.networks.initializer import Initializer
from frankrl.networks.recurrence import after, recurrence

_GATES = 3
"""Reset gate, update gate, new state: the order of the columns of all weights."""


class GRUParams(NamedTuple):
    """The parameters of a `GRU`; the columns of r, z and n stand side by side, in this order."""

    input_weight: Float[Any, "input 3*unit"]
    recurrent_weight: Float[Any, "unit 3*unit"]
    bias: Float[Any, " 3*unit"]
    recurrent_bias: Float[Any, " unit"]
    """Within the reset gate of n; those of r and z would add to `bias` alone."""


@dataclass(frozen=True)
class GRU:
    """A gated recurrent unit, as Flax's `GRUCell` and PyTorch's `GRUCell` compute it.

    r = σ(W_ir x + W_hr h + b_r), z = σ(W_iz x + W_hz h + b_z),
    n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn)), h′ = (1 - z) ∘ n + z ∘ h.
    Weights and biases are initialised uniformly in ±1/√(units), as in PyTorch.

    Source: Cho et al. (2014). https://arxiv.org/abs/1406.1078
    """

    num_units: int

    def init(self, initializer: Initializer, num_inputs: int) -> GRUParams:
        """Initial parameters."""
        units, columns = self.num_units, _GATES * self.num_units
        bound = 1 / math.sqrt(units)
        return GRUParams(
            initializer.uniform(bound, num_inputs, columns),
            initializer.uniform(bound, units, columns),
            initializer.uniform(bound, columns),
            initializer.uniform(bound, units),
        )

    def initial(self, batch_size: int) -> Float[np.ndarray, "batch unit"]:
        """The memory at the start of an episode: zeros."""
        return np.zeros((batch_size, self.num_units), np.float32)

    def step(
        self,
        params: GRUParams,
        inputs: Float[Any, "batch input"],
        memory: Float[Any, "batch unit"],
    ) -> Float[Any, "batch unit"]:
        """The memory after one more observation; NumPy or JAX."""
        product = self._input_products(params, inputs)
        return after(product, memory @ params.recurrent_weight, params.recurrent_bias, memory)

    def sequence(
        self,
        params: GRUParams,
        inputs: Float[Any, "batch time input"],
        is_shown: Bool[Any, "batch time"],
        memory: Float[Any, "batch unit"],
    ) -> Float[Any, "batch time unit"]:
        """The memory after each of several observations; JAX.

        The products with the inputs are one for all times; only those with the memory, which need
        the one before, follow each other.

        Args:
            params: of the layer.
            inputs: the features of the observations, in order of time.
            is_shown: where it is false, the memory stays as it is.
            memory: before the first of them.
        """
        # Turned before they are multiplied: the features are mostly fewer than the products. As
        # rows, because XLA copies what is more to get the gradient of the weights.
        rows = jnp.swapaxes(inputs, 0, 1).reshape(-1, inputs.shape[2])
        products = self._input_products(params, rows).reshape(*is_shown.T.shape, -1)
        weight, bias = params.recurrent_weight, params.recurrent_bias
        return jnp.swapaxes(recurrence(products, weight, bias, is_shown.T, memory), 0, 1)

    def _input_products(
        self, params: GRUParams, inputs: Float[Any, "*batch input"]
    ) -> Float[Any, "*batch column"]:
        return inputs @ params.input_weight + params.bias
