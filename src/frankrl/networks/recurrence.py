"""A gated recurrent unit over many steps, made for speed, with its derivative by hand.

JAX's own derivative of a scan adds a small product to the gradient of the weights at each step.
Here a step back in time has one product, with the weights, and the gradient of the weights is a
single large one after the last; all that needs no earlier or later step is computed for all at
once. Each step gets what is its own from the step before: on the CPU, XLA would otherwise read it
within the loop over its numbers, which then is not vectorised and takes three times as long.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree


class _Gates(NamedTuple):
    """What the gates of some steps let through."""

    reset: Float[Array, "*batch unit"]
    update: Float[Array, "*batch unit"]
    within: Float[Array, "*batch unit"]
    """W_hn h + b_hn, which the reset gate multiplies."""
    new: Float[Array, "*batch unit"]


class _Saved(NamedTuple):
    """What the derivative needs of the steps."""

    product: Float[Array, "time batch 3*unit"]
    weight: Float[Array, "unit 3*unit"]
    bias: Float[Array, " unit"]
    before: Float[Array, "time batch unit"]
    """The memory before each step."""
    recurrent: Float[Array, "time batch 3*unit"]
    """W_h h of each step."""


_CLOSED = 1e4
"""Added to the update gate, it makes z exactly 1, in float32, while W_h h stays within ±9,900
there; beyond that the weights have diverged."""


def recurrence(
    product: Float[Any, "time batch column"],
    weight: Float[Any, "unit column"],
    bias: Float[Any, " unit"],
    is_shown: Bool[Any, "time batch"],
    memory: Float[Any, "batch unit"],
) -> Float[Any, "time batch unit"]:
    """The memory after each step; the equations stand at `GRU`.

    Args:
        product: W_i x + b of each step, the columns of r, z and n side by side.
        weight: W_h, likewise.
        bias: b_hn.
        is_shown: where it is false, the memory stays as it is, to the bit.
        memory: before the first step.
    """
    units = memory.shape[1]
    is_update = jnp.arange(3 * units) // units == 1
    closed = ~is_shown[..., None] & is_update
    return _unrolled(jnp.where(closed, _CLOSED, product), weight, bias, memory)


@jax.custom_vjp
def _unrolled(product: Any, weight: Any, bias: Any, memory: Any) -> Array:
    def step(before: Array, product: Array) -> tuple[Array, Array]:
        memory = after(product, before @ weight, bias, before)
        return memory, memory

    return _scan(step, memory, product)[1]


def gates(
    product: Float[Any, "*batch column"],
    recurrent: Float[Any, "*batch column"],
    bias: Float[Any, " unit"],
) -> _Gates:
    """The gates of some steps, of NumPy or JAX arrays.

    Args:
        product: W_i x + b.
        recurrent: W_h h.
        bias: b_hn.
    """
    xp, units = recurrent.__array_namespace__(), bias.shape[0]

    def sigmoid(columns: slice) -> Any:
        # σ(x) = (1 + tanh(x / 2)) / 2, which overflows nowhere.
        return 0.5 * (1 + xp.tanh(0.5 * (product[..., columns] + recurrent[..., columns])))

    reset, update = sigmoid(slice(units)), sigmoid(slice(units, 2 * units))
    within = recurrent[..., 2 * units :] + bias
    return _Gates(reset, update, within, xp.tanh(product[..., 2 * units :] + reset * within))


def after(
    product: Float[Any, "*batch column"],
    recurrent: Float[Any, "*batch column"],
    bias: Float[Any, " unit"],
    before: Float[Any, "*batch unit"],
) -> Float[Any, "*batch unit"]:
    """The memory after one step, of NumPy or JAX arrays.

    Args:
        product: W_i x + b.
        recurrent: W_h h.
        bias: b_hn.
        before: h.
    """
    found = gates(product, recurrent, bias)
    return (1 - found.update) * found.new + found.update * before


def _forward(product: Any, weight: Any, bias: Any, memory: Any) -> tuple[Array, _Saved]:
    def step(before: Array, product: Array) -> tuple[Array, tuple[Array, Array]]:
        recurrent = before @ weight
        memory = after(product, recurrent, bias, before)
        return memory, (memory, recurrent)

    _, (found, recurrent) = _scan(step, memory, product)
    before = jnp.concatenate([memory[None], found[:-1]])
    return found, _Saved(product, weight, bias, before, recurrent)


def _backward(
    saved: _Saved, flowing: Float[Array, "time batch unit"]
) -> tuple[Array, Array, Array, Array]:
    reset, update, within, new = gates(saved.product, saved.recurrent, saved.bias)
    # All gradients of a step are multiples of the one of its result; 0 where nothing is shown.
    of_update = (saved.before - new) * update * (1 - update)
    of_new = (1 - update) * (1 - new * new)
    of_reset = of_new * within * reset * (1 - reset)
    by_recurrent = jnp.concatenate([of_reset, of_update, of_new * reset], axis=-1)
    by_product = jnp.concatenate([of_reset, of_update, of_new], axis=-1)
    turned = saved.weight.T

    def step(later: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        own, by_recurrent, update = now
        total = own + later
        return total * update + (_thrice(total) * by_recurrent) @ turned, total

    start = jnp.zeros_like(saved.before[0])
    of_memory, totals = _scan(step, start, (flowing, by_recurrent, update), reverse=True)
    rows = (_thrice(totals) * by_recurrent).reshape(-1, by_recurrent.shape[-1])
    of_weight = saved.before.reshape(-1, saved.before.shape[-1]).T @ rows
    of_bias = jnp.sum(rows[:, -saved.bias.shape[0] :], axis=0)
    return _thrice(totals) * by_product, of_weight, of_bias, of_memory


_unrolled.defvjp(_forward, _backward)


def _thrice(columns: Float[Array, "*batch unit"]) -> Float[Array, "*batch 3*unit"]:
    return jnp.concatenate([columns] * 3, axis=-1)


def _scan(
    step: Callable[[Array, PyTree], tuple[Array, PyTree]],
    start: Array,
    given: PyTree,
    *,
    reverse: bool = False,
) -> tuple[Array, PyTree]:
    """As `jax.lax.scan`, but each step is handed its part of `given` by the step before."""
    length = jax.tree.leaves(given)[0].shape[0]

    def part(place: Array | int) -> PyTree:
        # Beyond the end it is the last one, which no step gets to see.
        return jax.tree.map(
            lambda leaf: jax.lax.dynamic_index_in_dim(leaf, place, keepdims=False), given
        )

    def one(carry: tuple[Array, PyTree], place: Array) -> tuple[tuple[Array, PyTree], PyTree]:
        state, now = carry
        state, found = step(state, now)
        return (state, part(place - 1 if reverse else place + 1)), found

    first = part(length - 1 if reverse else 0)
    (state, _), found = jax.lax.scan(one, (start, first), jnp.arange(length), reverse=reverse)
    return state, found
