"""The recurrence over many steps beside one step after another, and JAX's derivative of those."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.networks import GRU, GRUParams

BATCH, TIME, INPUTS, UNITS = 3, 6, 2, 4


def given(seed):
    random = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(random.normal(size=shape), jnp.float32)

    params = GRUParams(
        normal(INPUTS, 3 * UNITS), normal(UNITS, 3 * UNITS), normal(3 * UNITS), normal(UNITS)
    )
    is_shown = random.random((BATCH, TIME)) < 0.7
    return (
        params,
        normal(BATCH, TIME, INPUTS),
        jnp.asarray(is_shown),
        jnp.tanh(normal(BATCH, UNITS)),
    )


def one_by_one(params, inputs, is_shown, memory):
    found = []
    for time in range(TIME):
        after = GRU(UNITS).step(params, inputs[:, time], memory)
        memory = jnp.where(is_shown[:, time, None], after, memory)
        found.append(memory)
    return jnp.stack(found, axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_it_and_its_derivative_are_those_of_one_step_after_another(seed):
    params, inputs, is_shown, memory = given(seed)
    weight = jnp.asarray(np.random.default_rng(9).normal(size=(BATCH, TIME, UNITS)), jnp.float32)

    def both(of):
        def loss(params, inputs, memory):
            found = of(params, inputs, is_shown, memory)
            return jnp.sum(weight * found), found

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(params, inputs, memory)

    gradients, found = both(GRU(UNITS).sequence)
    expected_gradients, expected = both(one_by_one)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(
        jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_where_nothing_is_shown_the_memory_stays_to_the_bit():
    params, inputs, is_shown, memory = given(0)
    found = jax.jit(GRU(UNITS).sequence)(params, 1e3 * inputs, is_shown, memory)
    before = np.concatenate([np.asarray(memory)[:, None], found[:, :-1]], axis=1)
    hidden = ~np.asarray(is_shown)
    assert hidden.any()
    np.testing.assert_array_equal(np.asarray(found)[hidden], before[hidden])
    assert (np.asarray(found)[~hidden] != before[~hidden]).any()
