"""A Q-network of fully connected layers."""

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from frankrl.config import NetworkSettings
from frankrl.core.random import Use, generator
from frankrl.core.types import Scaling
from frankrl.networks.heads import (
    CategoricalHead,
    ExpectedHead,
    Head,
    ImplicitHead,
    QuantileHead,
)
from frankrl.networks.linear import Linear, NoisyLinear
from frankrl.networks.q_network import QNetwork

_LAYER_NORM_EPSILON = 1e-5
_FIRST_NOISE = 0.5


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class LayerNorm:
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


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class MLPQNetwork(QNetwork):
    """Fully connected layers with a non-linearity between them; the observation is flattened."""

    layers: tuple[Linear | NoisyLinear, ...]
    norms: tuple[LayerNorm, ...]
    """One for each hidden layer, or none at all."""
    embedding: Linear | None
    """From a fraction's cosines to a factor for each unit of the first hidden layer; for IQN."""
    activation: str = field(metadata={"static": True})
    dueling: bool = field(metadata={"static": True})
    """Whether the last layer gives a value and advantages, rather than Q-values."""
    scaling: Scaling = field(metadata={"static": True})
    read_by: Head = field(metadata={"static": True})

    @property
    def head(self) -> Head:
        return self.read_by

    def outputs(
        self,
        observation: Shaped[Any, "batch *obs"],
        fractions: Float[Any, "batch fraction"] | None = None,
    ) -> Float[Any, "batch action *atom"]:
        batch = observation.shape[0]
        hidden = observation.reshape(batch, -1).astype(np.float32)
        if self.scaling != Scaling():
            offset, factor = (np.asarray(part, np.float32) for part in self.scaling)
            hidden = (hidden - offset) * factor
        for index, layer in enumerate(self.layers[:-1]):
            hidden = layer(hidden)
            if self.norms:
                hidden = self.norms[index](hidden)
            hidden = _activate(self.activation, hidden)
            if index == 0 and self.embedding is not None:
                hidden = self._asked(hidden, fractions)
        output = self._by_action(self.layers[-1](hidden), batch)
        return dueling_outputs(output) if self.dueling else output

    def _asked(
        self, hidden: Float[Any, "batch unit"], fractions: Float[Any, "batch fraction"] | None
    ) -> Float[Any, "row unit"]:
        """The first hidden layer, once for each fraction that is asked for."""
        assert isinstance(self.head, ImplicitHead)
        assert self.embedding is not None
        xp, batch = hidden.__array_namespace__(), hidden.shape[0]
        if fractions is None:
            cosines = self.head.embedding(xp.asarray(self.head.fractions()))[None]
        else:
            cosines = self.head.embedding(fractions)
        factors = xp.maximum(cosines @ self.embedding.weight + self.embedding.bias, 0)
        return (hidden[:, None, :] * factors).reshape(batch * factors.shape[1], -1)

    def _by_action(
        self, output: Float[Any, "row output"], batch: int
    ) -> Float[Any, "batch part *atom"]:
        """The last layer's output, with an axis for actions and one for what belongs to each."""
        if self.embedding is not None:
            return output.reshape(batch, output.shape[0] // batch, -1).swapaxes(1, 2)
        if self.head.atoms is None:
            return output
        return output.reshape(batch, -1, self.head.atoms)

    def q_values(
        self,
        outputs: Float[Any, "batch action *atom"],
        observation: Shaped[Any, "batch *obs"],
    ) -> Float[Any, "batch action"]:
        return self.head.q_values(outputs)

    @property
    def noise_size(self) -> int:
        noisy = (layer for layer in self.layers if isinstance(layer, NoisyLinear))
        return sum(sum(layer.weight.shape) for layer in noisy)

    def perturbed(self, noise: Float[Any, " noise"]) -> "MLPQNetwork":
        layers, start = [], 0
        for layer in self.layers:
            if isinstance(layer, NoisyLinear):
                middle = start + layer.weight.shape[0]
                end = middle + layer.weight.shape[1]
                layer = layer.perturbed(noise[start:middle], noise[middle:end])
                start = end
            layers.append(layer)
        return replace(self, layers=tuple(layers))


def dueling_outputs(output: Float[Any, "batch part *atom"]) -> Float[Any, "batch part-1 *atom"]:
    """Q = V + A - mean of A over actions, from V in the first place and A in the others.

    Of a distribution every atom is put together so, as Hessel et al. (2018) do.

    Source: Wang et al. (2016), eq. 9. https://arxiv.org/abs/1511.06581. Both are linear
    in the last hidden layer, which they share.
    """
    value, advantage = output[:, :1], output[:, 1:]
    return value + (advantage - advantage.mean(axis=1, keepdims=True))


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
    *,
    noisy: bool = False,
) -> MLPQNetwork:
    """A randomly initialised Q-network with NumPy leaves.

    Weights and biases are uniform in ±1/√(inputs), as in `eqx.nn.Linear` and PyTorch; noise
    begins at 0.5/√(inputs) (Fortunato et al. 2018, section 3.2).
    """
    random = generator(seed, Use.NETWORK)

    def uniform(bound: float, *shape: int) -> np.ndarray:
        return random.uniform(-bound, bound, shape).astype(np.float32)

    head = make_head(settings)
    last = (num_actions + settings.dueling) * (head.atoms or 1)
    widths = (math.prod(observation_shape), *settings.hidden_widths, last)
    layers: list[Linear | NoisyLinear] = []
    for inputs, outputs in itertools.pairwise(widths):
        bound = 1 / math.sqrt(max(inputs, 1))
        weight, bias = uniform(bound, inputs, outputs), uniform(bound, outputs)
        if noisy:
            noise = (
                np.full_like(weight, _FIRST_NOISE * bound),
                np.full_like(bias, _FIRST_NOISE * bound),
            )
            layers.append(NoisyLinear(weight, bias, *noise))
        else:
            layers.append(Linear(weight, bias))
    embedding = None
    if isinstance(head, ImplicitHead):
        bound, first = 1 / math.sqrt(head.num_cosines), settings.hidden_widths[0]
        embedding = Linear(uniform(bound, head.num_cosines, first), uniform(bound, first))
    norms = [
        LayerNorm(np.ones(width, np.float32), np.zeros(width, np.float32))
        for width in settings.hidden_widths
        if settings.layer_norm
    ]
    return MLPQNetwork(
        layers=tuple(layers),
        norms=tuple(norms),
        embedding=embedding,
        activation=settings.activation,
        dueling=settings.dueling,
        scaling=scaling,
        read_by=head,
    )


def make_head(settings: NetworkSettings) -> Head:
    """What the last layer's numbers are to mean."""
    match settings.distribution:
        case "mean":
            return ExpectedHead()
        case "c51":
            return CategoricalHead(settings.num_atoms, settings.value_min, settings.value_max)
        case "qr":
            return QuantileHead(settings.num_quantiles)
        case "iqn":
            return ImplicitHead(settings.iqn_cosines, settings.iqn_acting_fractions)
