"""A gated recurrent unit over many steps, with its derivative by hand.

JAX's own derivative of a scan adds a small product to the gradient of the weights at each step.
Here a step back in time has one product, with the weights, and the gradient of the weights is a
single large one after the last. What a step needs of the forward pass is computed for all at once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class _Kept(NamedTuple):
    """What the derivative needs of each step; leaves of shape (time, batch, unit)."""

    before: Float[Array, "time batch unit"]
    reset: Float[Array, "time batch unit"]
    update: Float[Array, "time batch unit"]
    new: Float[Array, "time batch unit"]
    within: Float[Array, "time batch unit"]
    """W_hn h + b_hn, which the reset gate multiplies."""


@jax.custom_vjp
def recurrence(
    product: Float[Array, "time batch 3*unit"],
    weight: Float[Array, "unit 3*unit"],
    bias: Float[Array, " unit"],
    is_shown: Bool[Array, "time batch"],
    memory: Float[Array, "batch unit"],
) -> Float[Array, "time batch unit"]:
    """The memory after each step; the equations stand at `GRU`.

    Args:
        product: W_i x + b of each step, the columns of r, z and n side by side.
        weight: W_h, likewise.
        bias: b_hn.
        is_shown: where it is false, the memory stays as it is.
        memory: before the first step.
    """

    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        after, _ = _step(*now, weight, bias, before)
        return after, after

    return jax.lax.scan(step, memory, (product, is_shown))[1]


def _step(
    product: Float[Array, "batch 3*unit"],
    shown: Bool[Array, " batch"],
    weight: Float[Array, "unit 3*unit"],
    bias: Float[Array, " unit"],
    before: Float[Array, "batch unit"],
) -> tuple[Float[Array, "batch unit"], _Kept]:
    units = before.shape[1]
    recurrent = before @ weight
    # σ(x) = (1 + tanh(x / 2)) / 2, which overflows nowhere.
    gates = 0.5 * (1 + jnp.tanh(0.5 * (product + recurrent)[:, : 2 * units]))
    reset, update = gates[:, :units], gates[:, units:]
    within = recurrent[:, 2 * units :] + bias
    new = jnp.tanh(product[:, 2 * units :] + reset * within)
    after = (1 - update) * new + update * before
    return jnp.where(shown[:, None], after, before), _Kept(before, reset, update, new, within)


def _forward(
    product: Array, weight: Array, bias: Array, is_shown: Array, memory: Array
) -> tuple[Array, tuple[_Kept, Array, Array]]:
    def step(before: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, _Kept]]:
        after, kept = _step(*now, weight, bias, before)
        return after, (after, kept)

    _, (found, kept) = jax.lax.scan(step, memory, (product, is_shown))
    return found, (kept, weight, is_shown)


def _backward(
    saved: tuple[_Kept, Array, Array], flowing: Float[Array, "time batch unit"]
) -> tuple[Array, Array, Array, None, Array]:
    (before, reset, update, new, within), weight, is_shown = saved
    shown = is_shown[..., None]
    # By what the gradient of a step's result is multiplied; 0 where nothing is shown.
    to_update = jnp.where(shown, (before - new) * update * (1 - update), 0.0)
    to_new = jnp.where(shown, (1 - update) * (1 - new * new), 0.0)
    to_reset = within * reset * (1 - reset)
    kept_share = jnp.where(shown, update, 1.0)
    turned = weight.T

    def step(later: Array, now: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
        own, to_update, to_new, to_reset, reset, kept_share = now
        total = own + later
        of_new = total * to_new
        gates = [of_new * to_reset, total * to_update, of_new * reset]
        of_recurrent = jnp.concatenate(gates, axis=1)
        return total * kept_share + of_recurrent @ turned, (of_recurrent, of_new)

    given = (flowing, to_update, to_new, to_reset, reset, kept_share)
    of_memory, found = jax.lax.scan(step, jnp.zeros_like(before[0]), given, reverse=True)
    of_recurrent, of_new = found
    units = before.shape[-1]
    of_product = jnp.concatenate([of_recurrent[..., : 2 * units], of_new], axis=-1)
    rows = of_recurrent.reshape(-1, 3 * units)
    of_weight = before.reshape(-1, units).T @ rows
    return of_product, of_weight, jnp.sum(rows[:, 2 * units :], axis=0), None, of_memory


recurrence.defvjp(_forward, _backward)
