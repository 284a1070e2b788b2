"""QR-DQN and IQN: quantile regression held against rlax and hand-computed numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from judged_batch import judged
from quiet_rlax import rlax
from small_networks import BATCH, KINDS, network_of, numbers, settings_of

from frankrl.learning.heads import ImplicitHead, QuantileHead
from frankrl.learning.losses import quantile_huber

STATES = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)


def test_the_fractions_of_the_quantiles_are_the_middles_of_equal_shares():
    np.testing.assert_allclose(QuantileHead(6).fractions(), (np.arange(6) + 0.5) / 6, rtol=1e-6)
    np.testing.assert_allclose(ImplicitHead(4, 2, 8).fractions(), [0.25, 0.75])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("kind", ["qr", "iqn"])
def test_quantile_losses_agree_with_rlax(kind, double):
    found = judged(kind, double=double, huber_delta=1.0)
    network, batch = found.network, found.batch
    params = found.params if double else found.target_params
    fractions = found.noise.fractions
    outputs = network.apply(found.params, batch.observation, fractions)
    if kind == "qr":
        fractions = jnp.broadcast_to(
            network.head.fractions(), (BATCH, KINDS[kind]["num_quantiles"])
        )
    axes = (0, 0, 0, 0, 0, 0, 0, None)
    expected = jax.jit(jax.vmap(rlax.quantile_q_learning, in_axes=axes), static_argnums=7)(
        outputs.swapaxes(1, 2),
        fractions,
        batch.action.astype(int),
        batch.reward,
        batch.discount,
        network.apply(params, batch.next_observation).swapaxes(1, 2),
        found.outputs.next_outputs.swapaxes(1, 2),
        1.0,
    )
    np.testing.assert_allclose(found.predictions.losses, expected, rtol=1e-5)


def test_a_quantile_loss_by_hand():
    """Two quantiles 0 and 2 at ¼ and ¾, targets 1 and 5, Huber with δ = 2."""
    found = quantile_huber(
        jnp.float32([[0.0, 2.0]]), jnp.float32([[0.25, 0.75]]), jnp.float32([[1.0, 5.0]]), 2.0
    )
    first = (0.25 * (0.5 * 1**2) / 2 + 0.25 * (2 * (5 - 1)) / 2) / 2
    second = (0.25 * (0.5 * 1**2) / 2 + 0.75 * (2 * (3 - 1)) / 2) / 2
    np.testing.assert_allclose(found, [first + second], rtol=1e-6)


def test_quantile_regression_finds_the_quantiles():
    """Of 1,000 returns, by gradient descent on the loss alone."""
    returns = jnp.asarray(np.sort(np.random.default_rng(0).gumbel(size=1000)), jnp.float32)
    fractions = jnp.float32([[0.1, 0.5, 0.9]])

    def descended(quantiles, _):
        slope = jax.grad(lambda q: quantile_huber(q, fractions, returns[None], 0.01)[0])
        return quantiles - 0.02 * slope(quantiles), None

    quantiles, _ = jax.lax.scan(descended, jnp.zeros((1, 3)), length=2000)
    np.testing.assert_allclose(quantiles[0], np.quantile(returns, fractions[0]), atol=0.06)


def test_iqn_embeds_a_fraction_by_its_cosines():
    """φ_j(τ) = ReLU(Σ_i cos(π i τ) w_ij + b_j), times the first hidden layer, in plain loops."""
    network = network_of(settings_of("iqn"), numbers(4))
    params = network.init(0)
    fractions = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    first, second = params.hidden
    expected = np.zeros((10, 4, 3))
    for row in range(10):
        units = np.maximum(STATES[row] @ first.weight + first.bias, 0)
        for number, fraction in enumerate(fractions[row]):
            cosines = [np.cos(np.pi * i * fraction) for i in range(5)]
            factor = np.maximum(cosines @ params.head.weight + params.head.bias, 0)
            above = np.maximum((units * factor) @ second.weight + second.bias, 0)
            expected[row, :, number] = above @ params.output.weight + params.output.bias
    found = network.apply(params, STATES, fractions)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_hidden_layers_iqn_embeds_the_observation_itself():
    network = network_of(settings_of("iqn", hidden_widths=()), numbers(4))
    params = network.init(0)
    fractions = np.float32([[0.3]] * 10)
    cosines = np.cos(np.pi * np.arange(5) * 0.3)
    factor = np.maximum(cosines @ params.head.weight + params.head.bias, 0)
    expected = (STATES * factor) @ params.output.weight + params.output.bias
    found = network.apply(params, STATES, fractions)
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_q_values_of_iqn_are_means_over_evenly_spaced_fractions():
    network = network_of(settings_of("iqn"), numbers(4))
    params = network.init(0)
    spaced = np.tile(((np.arange(9) + 0.5) / 9).astype(np.float32), (10, 1))
    expected = network.apply(params, STATES, spaced).mean(axis=-1)
    np.testing.assert_allclose(network.q_values(params, STATES), expected, rtol=1e-5, atol=1e-6)


def test_the_cosines_are_cosines():
    head = ImplicitHead(64, 8, 8)
    fractions = np.linspace(0, 1, 1_001, dtype=np.float32)
    expected = np.cos(np.pi * fractions[:, None].astype(np.float64) * np.arange(64))
    np.testing.assert_allclose(head.embedding(fractions), expected, atol=1e-5)
    np.testing.assert_allclose(jax.jit(head.embedding)(fractions), expected, atol=1e-5)
