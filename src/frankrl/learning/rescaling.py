"""Value rescaling: a scale on which large returns are compressed."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from frankrl.core.value_scale import EPSILON

RESCALING_NOTE = (
    "value_rescaling: Q-values and y are on the scale h(x) = sign(x) (√(|x| + 1) − 1) + "
    f"{EPSILON:g} x, so y is h(r + discount · h⁻¹(the next value))"
)
"""For a reader who computes a target by hand."""


def rescaled(value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """h(x) = sign(x) (√(|x| + 1) - 1) + εx.

    Source: Pohlen et al. (2018), proposition A.2. https://arxiv.org/abs/1805.11593
    """
    size = jnp.abs(value)
    # √(x + 1) - 1 without the difference of two numbers near 1.
    return jnp.sign(value) * size / (jnp.sqrt(size + 1) + 1) + EPSILON * value


def unscaled(value: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """h⁻¹(y): with |y| = (s - 1) + ε (s² - 1), where s = √(|x| + 1), it is sign(y) (s² - 1).

    Source: as for `rescaled`.
    """
    size = jnp.abs(value)
    # s - 1 = 2|y| / (1 + 2ε + √((1 + 2ε)² + 4ε|y|)), from the quadratic equation for s - 1.
    slope = 1 + 2 * EPSILON
    more = 2 * size / (slope + jnp.sqrt(slope**2 + 4 * EPSILON * size))
    return jnp.sign(value) * more * (more + 2)
