"""Losses of TD errors."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def squared(td_error: Float[Array, "*error"]) -> Float[Array, "*error"]:
    """δ², the notes' loss (no factor ½)."""
    return jnp.square(td_error)


def huber(td_error: Float[Array, "*error"], delta: float) -> Float[Array, "*error"]:
    """½δ² up to |δ| = `delta`, beyond it linear with slope `delta`.

    Source: Huber (1964). https://doi.org/10.1214/aoms/1177703732
    """
    size = jnp.abs(td_error)
    quadratic = jnp.minimum(size, delta)
    return 0.5 * jnp.square(quadratic) + delta * (size - quadratic)


def quantile_huber(
    quantiles: Float[Array, "batch quantile"],
    fractions: Float[Array, "batch quantile"],
    target: Float[Array, "batch target_quantile"],
    delta: float,
) -> Float[Array, " batch"]:
    """Quantile regression: |τ - 1{δ < 0}| Huber(δ) / `delta`, with δ = target - quantile.

    Summed over the predicted quantiles, averaged over the target's quantiles.

    Source: Dabney et al. (2018), eq. 10. https://arxiv.org/abs/1710.10044
    """
    td_error = target[:, None, :] - quantiles[:, :, None]
    side = jnp.abs(fractions[:, :, None] - (td_error < 0))
    return jnp.sum(jnp.mean(side * huber(td_error, delta) / delta, axis=-1), axis=-1)
