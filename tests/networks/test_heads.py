"""Heads, noisy layers and IQN's embedding, by closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.config import NetworkSettings
from frankrl.core.types import Scaling
from frankrl.networks import ImplicitHead, NoisyLinear, make_q_network, make_q_table, pack

ACTIONS = 3
KINDS = {
    "mean": {},
    "c51": {"num_atoms": 5, "value_min": -1.0, "value_max": 3.0},
    "qr": {"num_quantiles": 6},
    "iqn": {"iqn_cosines": 4, "iqn_acting_fractions": 7},
}
STATES = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)


def made(kind="mean", *, noisy=False, widths=(8, 6), **changes):
    settings = NetworkSettings(hidden_widths=widths, distribution=kind, **KINDS[kind], **changes)
    return make_q_network(settings, (4,), Scaling(), ACTIONS, 0, noisy=noisy)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_numpy_and_jax_agree_for_every_head(kind, layer_norm, dueling):
    network = made(kind, layer_norm=layer_norm, dueling=dueling)
    in_jax = jax.tree.map(jnp.asarray, network)
    found = network(STATES)
    assert isinstance(found, np.ndarray)
    assert found.shape == (10, ACTIONS)
    np.testing.assert_allclose(found, in_jax(jnp.asarray(STATES)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pack(network)(STATES), found, rtol=1e-6)


def test_q_values_are_the_means_of_what_the_heads_give():
    c51 = made("c51")
    logits = c51.outputs(STATES).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(c51(STATES), shares @ [-1.0, 0, 1, 2, 3], rtol=1e-5)
    for kind in ("qr", "iqn"):
        network = made(kind)
        np.testing.assert_allclose(
            network(STATES), network.outputs(STATES).mean(axis=-1), rtol=1e-6
        )


def test_huge_logits_do_not_overflow():
    head = made("c51").head
    logits = np.array([[[1e4, 0, 0, 0, 1e4]]], np.float32)
    np.testing.assert_allclose(head.q_values(logits), [[1.0]])


def test_the_fractions_of_the_quantiles_are_the_middles_of_equal_shares():
    np.testing.assert_allclose(made("qr").head.fractions(), (np.arange(6) + 0.5) / 6, rtol=1e-6)


def test_iqn_embeds_a_fraction_by_its_cosines():
    """φ_j(τ) = ReLU(Σ_i cos(π i τ) w_ij + b_j), times the first hidden layer, in plain loops."""
    network = made("iqn", widths=(8,))
    fractions = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    first, last = network.layers
    expected = np.zeros((10, ACTIONS, 3))
    for row in range(10):
        hidden = np.maximum(STATES[row] @ first.weight + first.bias, 0)
        for number, fraction in enumerate(fractions[row]):
            cosines = [np.cos(np.pi * i * fraction) for i in range(4)]
            factor = np.maximum(cosines @ network.embedding.weight + network.embedding.bias, 0)
            expected[row, :, number] = (hidden * factor) @ last.weight + last.bias
    np.testing.assert_allclose(network.outputs(STATES, fractions), expected, rtol=1e-4, atol=1e-5)


def test_iqn_gives_the_same_q_values_for_the_same_state():
    network = made("iqn")
    one = network(STATES[:1])
    np.testing.assert_allclose(network(STATES)[0], one[0], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_advantages_have_mean_zero_over_actions_in_every_atom(kind):
    """With dueling, the mean over actions of what is said is what V says."""
    network = made(kind, dueling=True)
    plain = dataclasses.replace(network, dueling=False)
    parts = plain.outputs(STATES)  # V first, then A
    np.testing.assert_allclose(
        network.outputs(STATES).mean(axis=1), parts[:, 0], rtol=1e-4, atol=1e-5
    )


def test_a_noisy_network_without_noise_is_its_mean():
    noisy, plain = made(noisy=True), made()
    np.testing.assert_array_equal(noisy(STATES), plain(STATES))
    zero = noisy.perturbed(np.zeros(noisy.noise_size, np.float32))
    np.testing.assert_array_equal(zero(STATES), plain(STATES))
    assert plain.noise_size == 0
    assert noisy.noise_size == (4 + 8) + (8 + 6) + (6 + ACTIONS)


def test_noise_is_factorised_by_f_of_its_numbers():
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype(np.float32) for shape in ((2, 3), 3, (2, 3), 3)]
    layer = NoisyLinear(*arrays)
    into, out = np.float32([-4.0, 0.25]), np.float32([1.0, -9.0, 0.0])
    weight = np.array(
        [
            [arrays[0][i, j] + arrays[2][i, j] * (-2, 0.5)[i] * (1, -3, 0)[j] for j in range(3)]
            for i in range(2)
        ]
    )
    found = layer.perturbed(into, out)
    np.testing.assert_allclose(found.weight, weight, rtol=1e-5)
    np.testing.assert_allclose(found.bias, arrays[1] + arrays[3] * np.array([1, -3, 0]), rtol=1e-5)


def test_the_moments_of_a_noisy_layer_are_those_of_the_paper():
    """f(x)² = |x|, so a weight's variance is Σ² E|x| E|y| = Σ² · 2/π, a bias's σ² √(2/π)."""
    layer = next(iter(made(noisy=True).layers))
    random = np.random.default_rng(0)
    draws = [
        layer.perturbed(*np.split(random.normal(size=12).astype(np.float32), [4]))
        for _ in range(20_000)
    ]
    weights, biases = np.stack([d.weight for d in draws]), np.stack([d.bias for d in draws])
    np.testing.assert_allclose(weights.mean(axis=0), layer.weight, atol=0.012)
    np.testing.assert_allclose(biases.mean(axis=0), layer.bias, atol=0.012)
    np.testing.assert_allclose(weights.var(axis=0), layer.weight_noise**2 * 2 / np.pi, rtol=0.08)
    np.testing.assert_allclose(
        biases.var(axis=0), layer.bias_noise**2 * np.sqrt(2 / np.pi), rtol=0.08
    )


def test_noise_begins_at_half_the_bound_of_the_weights():
    for layer in made(noisy=True).layers:
        np.testing.assert_allclose(layer.weight_noise, 0.5 / np.sqrt(len(layer.weight)))
        np.testing.assert_allclose(layer.bias_noise, 0.5 / np.sqrt(len(layer.weight)))


def test_what_has_no_noise_says_so():
    table = make_q_table(3, 2)
    assert table.noise_size == 0
    with pytest.raises(TypeError, match="QTable has no noise"):
        table.perturbed(np.zeros(0, np.float32))


def test_the_cosines_are_cosines():
    head = ImplicitHead(64, 8)
    fractions = np.linspace(0, 1, 1_001, dtype=np.float32)
    expected = np.cos(np.pi * fractions[:, None].astype(np.float64) * np.arange(64))
    np.testing.assert_allclose(head.embedding(fractions), expected, atol=1e-5)
    np.testing.assert_allclose(jax.jit(head.embedding)(fractions), expected, atol=1e-5)
