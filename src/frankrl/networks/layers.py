"""Layers: a definition that compares by value; the parameters are kept apart.

`init` makes a layer's parameters, `apply` computes the layer with them, on NumPy or JAX
arrays. Noise and normalisation are wrappers around a layer.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Float

from frankrl.core.types import Params
from frankrl.networks.initializer import Initializer

LAYER_NORM_EPSILON = 1e-5
"""Added to the variance in a layer normalisation."""
_INITIAL_NOISE = 0.5


@runtime_checkable
class Layer(Protocol):
    """Maps the features of a batch to other features; they are the last axis."""

    @property
    def num_outputs(self) -> int:
        """Number of output features."""
        ...

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """Initial parameters."""
        ...

    def apply(
        self, params: Any, inputs: Float[Any, "batch *place input"]
    ) -> Float[Any, "batch *new_place output"]:
        """The output features."""
        ...


class DenseParams(NamedTuple):
    """The parameters of a dense layer."""

    weight: Float[Any, "input output"]
    bias: Float[Any, " output"]


@dataclass(frozen=True)
class Dense:
    """x ↦ x·W + b. Weights and biases are initialised uniformly in ±1/√(inputs), as in PyTorch."""

    num_outputs: int

    def init(self, initializer: Initializer, num_inputs: int) -> DenseParams:
        """See `Layer.init`."""
        bound = 1 / math.sqrt(max(num_inputs, 1))
        weight = initializer.uniform(bound, num_inputs, self.num_outputs)
        return DenseParams(weight, initializer.uniform(bound, self.num_outputs))

    def apply(
        self, params: DenseParams, inputs: Float[Any, "batch input"]
    ) -> Float[Any, "batch output"]:
        """See `Layer.apply`."""
        return inputs @ params.weight + params.bias


class NoisyParams(NamedTuple):
    """The parameters of a noisy layer."""

    weight: Float[Any, "input output"]
    bias: Float[Any, " output"]
    weight_noise: Float[Any, "input output"]
    """Σ."""
    bias_noise: Float[Any, " output"]
    """σ."""


@dataclass(frozen=True)
class Noisy:
    """x ↦ x·(W + Σ ⊙ noise) + b + σ ⊙ noise; `perturb` adds the noise to W and b beforehand.

    The noise is factorised: one number for each input and one for each output. Its scale is
    learned and is initialised to 0.5/√(inputs).

    Source: Fortunato et al. (2018), eqs. 10 and 11, section 3.2. https://arxiv.org/abs/1706.10295
    """

    layer: Dense

    @property
    def num_outputs(self) -> int:
        """See `Layer.num_outputs`."""
        return self.layer.num_outputs

    def init(self, initializer: Initializer, num_inputs: int) -> NoisyParams:
        """See `Layer.init`."""
        weight, bias = self.layer.init(initializer, num_inputs)
        size = _INITIAL_NOISE / math.sqrt(max(num_inputs, 1))
        noise = (initializer.constant(size, *part.shape) for part in (weight, bias))
        return NoisyParams(weight, bias, *noise)

    def apply(
        self, params: NoisyParams, inputs: Float[Any, "batch input"]
    ) -> Float[Any, "batch output"]:
        """See `Layer.apply`."""
        return self.layer.apply(DenseParams(params.weight, params.bias), inputs)


class NormalisedParams(NamedTuple):
    """The parameters of a normalised layer."""

    layer: Params
    gain: Float[Any, " output"]
    shift: Float[Any, " output"]


@dataclass(frozen=True)
class Normalised:
    """Layer normalisation of a layer's outputs: zero mean and unit variance over the features,
    then a learned gain and shift. A convolution is normalised at each pixel by itself.

    Source: Ba, Kiros & Hinton (2016). https://arxiv.org/abs/1607.06450
    """

    layer: Layer

    @property
    def num_outputs(self) -> int:
        """See `Layer.num_outputs`."""
        return self.layer.num_outputs

    def init(self, initializer: Initializer, num_inputs: int) -> NormalisedParams:
        """See `Layer.init`."""
        return NormalisedParams(
            self.layer.init(initializer, num_inputs),
            initializer.constant(1.0, self.num_outputs),
            initializer.constant(0.0, self.num_outputs),
        )

    def apply(
        self, params: NormalisedParams, inputs: Float[Any, "batch *place input"]
    ) -> Float[Any, "batch *new_place output"]:
        """See `Layer.apply`."""
        outputs = self.layer.apply(params.layer, inputs)
        xp = outputs.__array_namespace__()
        centred = outputs - outputs.mean(axis=-1, keepdims=True)
        variance = xp.square(centred).mean(axis=-1, keepdims=True)
        return centred / xp.sqrt(variance + LAYER_NORM_EPSILON) * params.gain + params.shift


def activate(name: str, inputs: Float[Any, "*feature"]) -> Float[Any, "*feature"]:
    """Apply the activation function of that name."""
    xp = inputs.__array_namespace__()
    if name == "relu":
        return xp.maximum(inputs, 0)
    if name == "tanh":
        return xp.tanh(inputs)
    if name == "elu":
        return xp.where(inputs > 0, inputs, xp.expm1(xp.minimum(inputs, 0)))
    if name == "silu":
        return 0.5 * inputs * (1 + xp.tanh(0.5 * inputs))
    raise ValueError(f"no such activation: {name!r}")


def noise_size(params: Params) -> int:
    """How many standard normal numbers one sample of the noise of all noisy layers takes."""
    return sum(sum(layer.weight.shape) for layer in _layers(params) if _is_noisy(layer))


def perturb(params: Params, noise: Float[Any, " noise"]) -> Params:
    """The parameters of a network with one sample of noise added in all noisy layers.

    Args:
        params: parameters of a network.
        noise: `noise_size` standard normal numbers.
    """
    start = 0

    def perturbed(layer: Any) -> Any:
        nonlocal start
        if not _is_noisy(layer):
            return layer
        middle = start + layer.weight.shape[0]
        end = middle + layer.weight.shape[1]
        inputs, outputs = _shaped(noise[start:middle]), _shaped(noise[middle:end])
        start = end
        return layer._replace(
            weight=layer.weight + layer.weight_noise * (inputs[:, None] * outputs),
            bias=layer.bias + layer.bias_noise * outputs,
        )

    return jax.tree.map(perturbed, params, is_leaf=_is_noisy)


def _layers(params: Params) -> list[Any]:
    return jax.tree.leaves(params, is_leaf=_is_noisy)


def _is_noisy(node: Any) -> bool:
    return isinstance(node, NoisyParams)


def _shaped(noise: Float[Any, " number"]) -> Float[Any, " number"]:
    """f(x) = sign(x) √|x|."""
    xp = noise.__array_namespace__()
    return xp.sign(noise) * xp.sqrt(xp.abs(noise))
