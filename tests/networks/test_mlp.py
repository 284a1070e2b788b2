import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from frankrl.config import NetworkSettings
from frankrl.core.types import Scaling
from frankrl.networks import make_q_network
from frankrl.networks.mlp import LayerNorm

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
}


def made(widths=(7, 5), shape=(4,), scale=1.0, actions=3, seed=0, **settings):
    settings = NetworkSettings(hidden_widths=widths, **settings)
    network = make_q_network(settings, shape, Scaling(factor=(scale,)), actions, seed)
    random = np.random.default_rng(1)
    norms = [
        LayerNorm(*random.normal(size=(2, len(norm.gain))).astype(np.float32))
        for norm in network.norms
    ]
    return dataclasses.replace(network, norms=tuple(norms))


def equinox_forward(network, observation, activation):
    """The same weights in Equinox's own layers."""
    hidden = jnp.asarray(observation, jnp.float32).reshape(len(observation), -1)
    hidden = hidden * network.scaling.factor[0]
    for index, layer in enumerate(network.layers):
        linear = eqx.nn.Linear(*layer.weight.shape, key=jax.random.key(0))
        linear = eqx.tree_at(lambda m: (m.weight, m.bias), linear, (layer.weight.T, layer.bias))
        hidden = jax.vmap(linear)(hidden)
        if index + 1 < len(network.layers):
            if network.norms:
                norm = network.norms[index]
                layer_norm = eqx.tree_at(
                    lambda m: (m.weight, m.bias),
                    eqx.nn.LayerNorm(len(norm.gain)),
                    (norm.gain, norm.shift),
                )
                hidden = jax.vmap(layer_norm)(hidden)
            hidden = activation(hidden)
    return hidden


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_jax_and_equinox_agree(activation, layer_norm):
    network = made(activation=activation, layer_norm=layer_norm)
    observation = (3 * np.random.default_rng(0).normal(size=(6, 4))).astype(np.float32)

    in_numpy = network(observation)
    in_jax = jax.jit(lambda n, x: n(x))(jax.tree.map(jnp.asarray, network), observation)
    expected = equinox_forward(network, observation, ACTIVATIONS[activation])

    assert isinstance(in_numpy, np.ndarray)
    assert in_numpy.shape == (6, 3)
    np.testing.assert_allclose(in_numpy, in_jax, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(in_numpy, expected, rtol=1e-4, atol=1e-5)


def test_dueling_q_values_split_into_the_state_s_value_and_advantages_of_mean_zero():
    network = made(dueling=True, layer_norm=True, actions=5)
    observation = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    last = equinox_forward(network, observation, jax.nn.relu)
    value, advantage = np.asarray(last[:, 0]), np.asarray(last[:, 1:])

    q_values = network(observation)
    in_jax = jax.jit(lambda n, x: n(x))(jax.tree.map(jnp.asarray, network), observation)

    assert q_values.shape == (6, 5)
    np.testing.assert_allclose(q_values.mean(axis=1), value, rtol=1e-4, atol=1e-5)
    relative = advantage - advantage.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(q_values - value[:, None], relative, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q_values, in_jax, rtol=1e-4, atol=1e-5)


def test_bytes_are_scaled_and_images_flattened_row_by_row():
    network = made(shape=(2, 3), scale=1 / 255)
    observation = np.random.default_rng(0).integers(0, 256, (5, 2, 3)).astype(np.uint8)
    expected = equinox_forward(network, observation, jax.nn.relu)
    np.testing.assert_allclose(network(observation), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network(jnp.asarray(observation)), expected, rtol=1e-4, atol=1e-5)


def test_a_single_number_is_an_observation_too():
    network = made(shape=())
    observation = np.float32([0.3, -2])
    expected = equinox_forward(network, observation, jax.nn.relu)
    np.testing.assert_allclose(network(observation), expected, rtol=1e-5)


def test_without_hidden_layers_q_is_linear():
    network = made(widths=())
    observation = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    (layer,) = network.layers
    np.testing.assert_allclose(
        network(observation), observation @ layer.weight + layer.bias, rtol=1e-6
    )


@pytest.mark.parametrize("activation", ["elu", "silu"])
def test_large_inputs_neither_overflow_nor_break_the_gradient(activation):
    network = jax.tree.map(jnp.asarray, made(activation=activation))
    observation = jnp.float32([[1e4, -1e4, 1e4, -1e4]])
    gradient = jax.grad(lambda n: n(observation).sum())(network)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))
    assert np.isfinite(jax.tree.map(np.asarray, network)(np.asarray(observation))).all()


def test_weights_start_uniform_within_one_over_the_root_of_the_inputs():
    network = made(widths=(256, 100), shape=(9,))
    for layer, inputs in zip(network.layers, (9, 256, 100), strict=True):
        bound = 1 / math.sqrt(inputs)
        for values in (layer.weight, layer.bias):
            assert values.dtype == np.float32
            assert np.abs(values).max() <= np.float32(bound)
        assert layer.weight.shape[0] == inputs
        assert np.abs(layer.weight).max() > 0.97 * bound
        assert abs(layer.weight.mean()) < 0.1 * bound
        assert layer.weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_layer_norms_start_as_the_identity_after_normalising():
    settings = NetworkSettings(hidden_widths=(6, 5), layer_norm=True)
    norms = make_q_network(settings, (4,), Scaling(), 2, 0).norms
    assert [norm.gain.tolist() for norm in norms] == [[1] * 6, [1] * 5]
    assert [norm.shift.tolist() for norm in norms] == [[0] * 6, [0] * 5]


def leaves(**settings):
    return [leaf.tobytes() for leaf in jax.tree.leaves(made(**settings))]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    assert leaves(seed=7) == leaves(seed=7)
    assert not set(leaves(seed=7)) & set(leaves(seed=8))


def test_the_seed_alone_decides_the_weights_whatever_the_activation():
    assert leaves(activation="relu") == leaves(activation="tanh")


def test_an_observation_is_shifted_and_scaled_before_the_first_layer():
    plain, shape = NetworkSettings(hidden_widths=(5,)), (2,)
    scaling = Scaling(offset=(-0.3, 0.0), factor=(1 / 0.9, 1 / 0.07))
    scaled = make_q_network(plain, shape, scaling, 3, 0)
    same = make_q_network(plain, shape, Scaling(), 3, 0)
    observation = np.array([[-1.2, 0.07], [0.6, -0.07], [-0.3, 0.0]], np.float32)
    corners = np.array([[-1, 1], [1, -1], [0, 0]], np.float32)
    np.testing.assert_allclose(scaled(observation), same(corners), rtol=1e-5, atol=1e-6)
    as_jax = jax.tree.map(jnp.asarray, scaled)
    np.testing.assert_allclose(
        as_jax(jnp.asarray(observation)), same(corners), rtol=1e-5, atol=1e-6
    )
