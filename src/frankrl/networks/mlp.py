"""A Q-network of fully connected layers."""

import itertools
import math
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Shaped

from frankrl.config import NetworkSettings
from frankrl.networks.q_network import QNetwork
from frankrl.randomness import Use, generator
from frankrl.records import Scaling

_LAYER_NORM_EPSILON = 1e-5


class Linear(eqx.Module):
    """x ↦ x·W + b."""

    weight: Float[Any, "input output"]
    bias: Float[Any, " output"]

    def __call__(self, x: Float[Any, "batch input"]) -> Float[Any, "batch output"]:
        return x @ self.weight + self.bias


class LayerNorm(eqx.Module):
    """Zero mean and unit variance over each row, then a learned gain and shift.

    Source: Ba, Kiros & Hinton (2016). https://arxiv.org/abs/1607.06450
    """

    gain: Float[Any, " feature"]
    shift: Float[Any, " feature"]

    def __call__(self, x: Float[Any, "batch feature"]) -> Float[Any, "batch feature"]:
        xp = x.__array_namespace__()
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = xp.square(centred).mean(axis=-1, keepdims=True)
        return centred / xp.sqrt(variance + _LAYER_NORM_EPSILON) * self.gain + self.shift


class MLPQNetwork(QNetwork):
    """Fully connected layers with a non-linearity between them; the observation is flattened."""

    layers: tuple[Linear, ...]
    norms: tuple[LayerNorm, ...]
    """One for each hidden layer, or none at all."""
    activation: str = eqx.field(static=True)
    dueling: bool = eqx.field(static=True)
    """Whether the last layer gives a value and advantages, rather than Q-values."""
    scaling: Scaling = eqx.field(static=True)

    def __call__(self, observation: Shaped[Any, "batch *obs"]) -> Float[Any, "batch action"]:
        hidden = observation.reshape(observation.shape[0], -1).astype(np.float32)
        if self.scaling != Scaling():
            offset, factor = (np.asarray(part, np.float32) for part in self.scaling)
            hidden = (hidden - offset) * factor
        for index, layer in enumerate(self.layers[:-1]):
            hidden = layer(hidden)
            if self.norms:
                hidden = self.norms[index](hidden)
            hidden = _activate(self.activation, hidden)
        output = self.layers[-1](hidden)
        return dueling_q_values(output) if self.dueling else output


def dueling_q_values(output: Float[Any, "batch output"]) -> Float[Any, "batch output-1"]:
    """Q = V + A - mean of A, from V in the first column and A in the others.

    Source: Wang et al. (2016), eq. 9. https://arxiv.org/abs/1511.06581. Both are linear
    in the last hidden layer, which they share.
    """
    value, advantage = output[:, :1], output[:, 1:]
    return value + (advantage - advantage.mean(axis=-1, keepdims=True))


def _activate(name: str, x: Float[Any, "batch feature"]) -> Float[Any, "batch feature"]:
    xp = x.__array_namespace__()
    if name == "relu":
        return xp.maximum(x, 0)
    if name == "tanh":
        return xp.tanh(x)
    if name == "elu":
        return xp.where(x > 0, x, xp.expm1(xp.minimum(x, 0)))
    if name == "silu":
        return 0.5 * x * (1 + xp.tanh(0.5 * x))
    raise ValueError(f"no such activation: {name!r}")


def make_q_network(
    settings: NetworkSettings,
    observation_shape: tuple[int, ...],
    scaling: Scaling,
    num_actions: int,
    seed: int,
) -> MLPQNetwork:
    """A randomly initialised Q-network with NumPy leaves.

    Weights and biases are uniform in ±1/√(inputs), as in `eqx.nn.Linear` and PyTorch.
    """
    random = generator(seed, Use.NETWORK)

    def uniform(bound: float, *shape: int) -> np.ndarray:
        return random.uniform(-bound, bound, shape).astype(np.float32)

    widths = (math.prod(observation_shape), *settings.hidden_widths, num_actions + settings.dueling)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        bound = 1 / math.sqrt(max(inputs, 1))
        layers.append(Linear(uniform(bound, inputs, outputs), uniform(bound, outputs)))
    norms = [
        LayerNorm(np.ones(width, np.float32), np.zeros(width, np.float32))
        for width in settings.hidden_widths
        if settings.layer_norm
    ]
    return MLPQNetwork(
        layers=tuple(layers),
        norms=tuple(norms),
        activation=settings.activation,
        dueling=settings.dueling,
        scaling=scaling,
    )
