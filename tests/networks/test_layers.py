"""Dense, noisy and normalised layers, by closed forms."""

import math

import jax
import numpy as np
import pytest
from small_networks import in_jax, network_of, numbers, settings_of

from frankrl.networks import Dense, Noisy, Normalised, perturb
from frankrl.networks.initializer import SeededInitializer
from frankrl.networks.layers import NoisyParams, activate

STATES = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)
ACTIVATIONS = ("relu", "tanh", "elu", "silu")


def noisy_network(**changes):
    return network_of(settings_of(noisy=True, **changes), numbers(4))


def standard_normals(size, seed=0):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("inputs", [9, 100, 256])
def test_weights_start_uniform_within_one_over_the_root_of_the_inputs(inputs):
    params = Dense(300).init(SeededInitializer(0), inputs)
    bound = 1 / math.sqrt(inputs)
    assert params.weight.shape == (inputs, 300)
    for values in params:
        assert values.dtype == np.float32
        assert 0.97 * bound < np.abs(values).max() <= np.float32(bound)
        assert abs(values.mean()) < 0.1 * bound
        assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_a_layer_of_no_inputs_is_its_bias():
    layer = Dense(3)
    params = layer.init(SeededInitializer(0), 0)
    found = layer.apply(params, np.zeros((2, 0), np.float32))
    np.testing.assert_array_equal(found, [params.bias] * 2)


def test_a_normalised_layer_begins_with_rows_of_mean_zero_and_variance_one():
    layer = Normalised(Dense(50))
    params = layer.init(SeededInitializer(0), 4)
    assert params.gain.tolist() == [1] * 50
    assert params.shift.tolist() == [0] * 50
    found = layer.apply(params, 100 * STATES)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=1), 1, rtol=1e-4)
    np.testing.assert_allclose(layer.apply(in_jax(params), 100 * STATES), found, atol=1e-5)


def test_a_noisy_network_without_noise_is_its_mean():
    noisy, plain = noisy_network(), network_of(settings_of(), numbers(4))
    params = noisy.init(0)
    expected = plain.q_values(plain.init(0), STATES)
    np.testing.assert_array_equal(noisy.q_values(params, STATES), expected)
    silent = perturb(params, np.zeros(noisy.noise_size, np.float32))
    np.testing.assert_array_equal(noisy.q_values(silent, STATES), expected)


def test_a_draw_of_noise_has_a_number_for_each_input_and_each_output():
    assert noisy_network().noise_size == (4 + 5) + (5 + 6) + (6 + 4)
    assert noisy_network(dueling=True).noise_size == (4 + 5) + (5 + 6) + (6 + 5)
    plain = network_of(settings_of(), numbers(4))
    assert plain.noise_size == 0
    params = plain.init(0)
    for left, given in zip(
        jax.tree.leaves(perturb(params, np.zeros(0, np.float32))),
        jax.tree.leaves(params),
        strict=True,
    ):
        np.testing.assert_array_equal(left, given)


def test_noise_is_factorised_by_f_of_its_numbers():
    """f(x) = sign(x) √|x|, of the inputs' numbers first and the outputs' then."""
    weight, bias, weight_noise, bias_noise = (
        standard_normals(shape, seed) for seed, shape in enumerate(((2, 3), 3, (2, 3), 3))
    )
    noise = np.float32([-4.0, 0.25, 1.0, -9.0, 0.0])
    expected = np.array(
        [
            [weight[i, j] + weight_noise[i, j] * (-2, 0.5)[i] * (1, -3, 0)[j] for j in range(3)]
            for i in range(2)
        ]
    )
    given = NoisyParams(weight, bias, weight_noise, bias_noise)
    for found in (perturb(given, noise), jax.jit(perturb)(given, noise)):
        np.testing.assert_allclose(found.weight, expected, rtol=1e-5)
        np.testing.assert_allclose(found.bias, bias + bias_noise * np.array([1, -3, 0]), rtol=1e-5)


def test_each_noisy_layer_has_numbers_of_its_own_also_below_a_normalisation():
    network = noisy_network(layer_norm=True)
    params, noise = network.init(0), standard_normals(network.noise_size)
    found = perturb(params, noise)
    first, second = (layer.layer for layer in params.hidden)
    parts = np.split(noise, np.cumsum([4 + 5, 5 + 6]))
    for layer, part, after in zip(
        (first, second, params.output),
        parts,
        (found.hidden[0].layer, found.hidden[1].layer, found.output),
        strict=True,
    ):
        alone = perturb(layer, part)
        np.testing.assert_array_equal(after.weight, alone.weight)
        np.testing.assert_array_equal(after.bias, alone.bias)
        assert np.abs(after.weight - layer.weight).max() > 0.01


def test_the_moments_of_a_noisy_layer_are_those_of_the_paper():
    """f(x)² = |x|, so a weight's variance is Σ² E|x| E|y| = Σ² · 2/π, a bias's σ² √(2/π)."""
    params = Noisy(Dense(8)).init(SeededInitializer(0), 4)
    perturbed = jax.jit(jax.vmap(lambda noise: perturb(params, noise)))
    draws = perturbed(standard_normals((20_000, 12)))
    weights, biases = np.asarray(draws.weight), np.asarray(draws.bias)
    np.testing.assert_allclose(weights.mean(axis=0), params.weight, atol=0.012)
    np.testing.assert_allclose(biases.mean(axis=0), params.bias, atol=0.012)
    np.testing.assert_allclose(weights.var(axis=0), params.weight_noise**2 * 2 / np.pi, rtol=0.08)
    np.testing.assert_allclose(
        biases.var(axis=0), params.bias_noise**2 * np.sqrt(2 / np.pi), rtol=0.08
    )


@pytest.mark.parametrize("inputs", [4, 25])
def test_noise_begins_at_half_the_bound_of_the_weights(inputs):
    params = Noisy(Dense(3)).init(SeededInitializer(0), inputs)
    np.testing.assert_allclose(params.weight_noise, np.full((inputs, 3), 0.5 / np.sqrt(inputs)))
    np.testing.assert_allclose(params.bias_noise, np.full(3, 0.5 / np.sqrt(inputs)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_large_inputs_neither_overflow_nor_break_the_gradient(name):
    inputs = np.float32([[1e4, -1e4, 1e30, -1e30]])
    assert np.isfinite(activate(name, inputs)).all()
    slopes = jax.jit(jax.grad(lambda x: activate(name, x).sum()))(inputs)
    assert np.isfinite(slopes).all()


def test_a_non_linearity_that_nobody_has_written_is_refused():
    with pytest.raises(ValueError, match="no such activation: 'gelu'"):
        activate("gelu", STATES)
