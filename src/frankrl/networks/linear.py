"""Fully connected layers, plain and noisy."""

from dataclasses import dataclass
from typing import Any

import jax
from jaxtyping import Float


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Linear:
    """x ↦ x·W + b."""

    weight: Float[Any, "input output"]
    bias: Float[Any, " output"]

    def __call__(self, x: Float[Any, "batch input"]) -> Float[Any, "batch output"]:
        return x @ self.weight + self.bias


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class NoisyLinear:
    """x ↦ x·(W + Σ ⊙ noise) + b + σ ⊙ noise; without noise its mean, x·W + b.

    The noise is factorised: one number for each input and one for each output. How much
    of it there is, is learned.

    Source: Fortunato et al. (2018), eqs. 10 and 11. https://arxiv.org/abs/1706.10295
    """

    weight: Float[Any, "input output"]
    bias: Float[Any, " output"]
    weight_noise: Float[Any, "input output"]
    """Σ."""
    bias_noise: Float[Any, " output"]
    """σ."""

    def __call__(self, x: Float[Any, "batch input"]) -> Float[Any, "batch output"]:
        return x @ self.weight + self.bias

    def perturbed(self, inputs: Float[Any, " input"], outputs: Float[Any, " output"]) -> Linear:
        """The layer under one draw of standard normal numbers."""
        inputs, outputs = _shaped(inputs), _shaped(outputs)
        return Linear(
            self.weight + self.weight_noise * (inputs[:, None] * outputs),
            self.bias + self.bias_noise * outputs,
        )


def _shaped(noise: Float[Any, " number"]) -> Float[Any, " number"]:
    """f(x) = sign(x) √|x|."""
    xp = noise.__array_namespace__()
    return xp.sign(noise) * xp.sqrt(xp.abs(noise))
