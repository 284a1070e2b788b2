"""CQL's conservative term: by hand, as a gradient, with masks, weights and every head."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from judged_batch import judged
from learning_run import begun, setup, step
from small_networks import BATCH, KINDS, random_batch

from frankrl.learning import batch_loss, cross_entropy, update

ROWS = np.arange(BATCH)
ALPHA = 0.5


def test_the_term_of_three_actions_by_hand():
    # log(e⁰ + e^log 2 + e^log 5) = log 8.
    q_values = np.log(np.float32([[1, 2, 5]] * 3))
    found = jax.jit(cross_entropy)(q_values, np.arange(3, dtype=np.uint16))
    np.testing.assert_allclose(found, np.log([8, 4, 1.6]), rtol=1e-6)


def test_actions_that_are_not_allowed_are_left_out_of_the_sum_and_get_no_gradient():
    q_values = np.array([[0.3, -1.0, 40.0, 0.7]], np.float32)
    mask, action = np.array([[True, True, False, True]]), jnp.array([3], jnp.uint16)

    @jax.jit
    def term(q_values):
        return jnp.sum(cross_entropy(jnp.where(mask, q_values, -jnp.inf), action))

    allowed = q_values[0, [0, 1, 3]].astype(np.float64)
    softmax = np.exp(allowed) / np.exp(allowed).sum()
    assert float(term(q_values)) == pytest.approx(np.log(np.exp(allowed).sum()) - 0.7, rel=1e-6)
    gradient = np.asarray(jax.jit(jax.grad(term))(q_values)[0])
    np.testing.assert_allclose(gradient[[0, 1, 3]], softmax - [0, 0, 1], rtol=1e-5)
    assert gradient[2] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_each_head_gains_the_term_of_its_q_values_times_the_weight(kind):
    found = judged(kind)
    weights = np.linspace(0, 2, BATCH, dtype=np.float32)
    given = (found.params, found.batch, found.targets, found.noise)
    plain, conservative = (
        jax.jit(functools.partial(batch_loss, found.network, cql_weight=alpha))(*given, weights)
        for alpha in (0.0, ALPHA)
    )
    outputs = found.network.apply(found.params, found.batch.observation, found.noise.fractions)
    q_values = np.asarray(found.network.head.q_values(outputs), np.float64)
    terms = np.log(np.exp(q_values).sum(axis=1)) - q_values[ROWS, found.batch.action]
    assert terms.min() > 0
    expected = float(plain[0]) + ALPHA * (weights * terms).mean()
    assert float(conservative[0]) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(conservative[1].conservative, ALPHA * terms, rtol=1e-4)
    np.testing.assert_allclose(conservative[1].losses, plain[1].losses, rtol=1e-6)
    assert plain[1].conservative is None


def test_a_step_of_plain_descent_moves_along_the_gradient_of_both_terms():
    made = setup(optimiser="sgd", max_gradient_norm=None, cql_weight=ALPHA)
    plain = setup(optimiser="sgd", max_gradient_norm=None)
    batch, state = random_batch(3), begun(made)
    moved = [np.asarray(step(own, begun(own), batch)[0].params) for own in (made, plain)]
    network = made.network

    def terms(vector):
        q_values = network.apply(network.layout.unflatten(vector), batch.observation)
        labels = batch.action.astype(np.int32)
        losses = optax.softmax_cross_entropy_with_integer_labels(q_values, labels)
        return ALPHA * losses.mean()

    extra = jax.jit(jax.grad(terms))(state.params)
    np.testing.assert_allclose(moved[1] - moved[0], 1e-2 * np.asarray(extra), atol=1e-7)


def test_new_priorities_are_td_errors_without_the_term():
    weights = np.linspace(0.1, 1, BATCH, dtype=np.float32)
    batch = random_batch(1)
    found = []
    for alpha in (0.0, ALPHA):
        made = setup(cql_weight=alpha)
        run = jax.jit(update, static_argnums=(0, 1))
        _, output = run(*made, begun(made), batch, 1e-3, weights=weights)
        found.append(output.priorities)
    np.testing.assert_allclose(*found, rtol=1e-6)
