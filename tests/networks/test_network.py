"""Whole networks: against Equinox, by value, and by their shapes."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import KINDS, in_jax, network_of, numbers, settings_of

from frankrl.config import Settings
from frankrl.environments.leaves import Leaf
from frankrl.networks import perturb

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
}
STATES = (3 * np.random.default_rng(0).normal(size=(6, 4))).astype(np.float32)


def made(widths=(7, 5), seed=0, **changes):
    """A definition, and parameters in which nothing is 0 or 1."""
    network = network_of(settings_of(hidden_widths=widths, **changes), numbers(4), num_actions=3)
    random = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype(np.float32),
        network.init(seed),
    )
    return network, params


def equinox_linear(params):
    linear = eqx.nn.Linear(*params.weight.shape, key=jax.random.key(0))
    return eqx.tree_at(lambda m: (m.weight, m.bias), linear, (params.weight.T, params.bias))


def equinox_forward(params, observation, activation):
    """The same weights in Equinox's own layers."""
    features = jnp.asarray(observation)
    for layer in params.hidden:
        if hasattr(layer, "gain"):
            norm = eqx.nn.LayerNorm(len(layer.gain))
            norm = eqx.tree_at(lambda m: (m.weight, m.bias), norm, (layer.gain, layer.shift))
            features = jax.vmap(norm)(jax.vmap(equinox_linear(layer.layer))(features))
        else:
            features = jax.vmap(equinox_linear(layer))(features)
        features = activation(features)
    return jax.vmap(equinox_linear(params.output))(features)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numpy_jax_and_equinox_agree(activation, layer_norm):
    network, params = made(activation=activation, layer_norm=layer_norm)
    in_numpy = network.q_values(params, STATES)
    compiled = jax.jit(network.q_values)(params, STATES)
    expected = jax.jit(equinox_forward, static_argnums=2)(params, STATES, ACTIVATIONS[activation])
    assert isinstance(in_numpy, np.ndarray)
    assert in_numpy.dtype == compiled.dtype == np.float32
    assert in_numpy.shape == (6, 3)
    np.testing.assert_allclose(in_numpy, compiled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(in_numpy, expected, rtol=1e-4, atol=1e-5)


def test_relu_outputs_are_what_each_hidden_layer_gives():
    network, params = made(activation="relu")
    first, second = params.hidden
    units = np.maximum(STATES @ first.weight + first.bias, 0)
    above = np.maximum(units @ second.weight + second.bias, 0)
    for found, expected in zip(network.relu_outputs(params, STATES), (units, above), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for changes in ({"widths": ()}, {"activation": "tanh"}):
        without, params = made(**changes)
        assert without.relu_outputs(params, STATES) == []


def test_without_hidden_layers_q_is_linear():
    network, params = made(widths=())
    expected = STATES @ params.output.weight + params.output.bias
    np.testing.assert_allclose(network.q_values(params, STATES), expected, rtol=1e-6)


def test_an_observation_is_scaled_before_the_first_layer():
    bounds = {"low": (-1.2, -0.07), "high": (0.6, 0.07)}
    scaled = network_of(
        settings_of(scale_observation=True), Leaf("", (2,), np.dtype(np.float32), **bounds)
    )
    plain = network_of(settings_of(), numbers(2))
    observation = np.array([[-1.2, 0.07], [0.6, -0.07], [-0.3, 0.0]], np.float32)
    corners = np.array([[-1, 1], [1, -1], [0, 0]], np.float32)
    expected = plain.q_values(plain.init(0), corners)
    found = scaled.q_values(scaled.init(0), observation)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_allowed_actions_keep_their_values_and_others_have_minus_infinity(kind):
    network = network_of(settings_of(kind, dueling=True, layer_norm=True), numbers(4))
    params, random = network.init(0), np.random.default_rng(1)
    allowed = random.random((6, 4)) < 0.5
    expected = np.where(allowed, network.q_values(params, STATES), -np.inf)
    found = network.q_values(params, STATES, allowed)
    np.testing.assert_array_equal(found, expected)
    compiled = jax.jit(network.q_values)(params, STATES, allowed)
    assert found.dtype == compiled.dtype == np.float32
    np.testing.assert_allclose(compiled, expected, rtol=1e-4, atol=1e-5)


def bits(network, seed):
    return [leaf.tobytes() for leaf in jax.tree.leaves(network.init(seed))]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    network, _ = made()
    assert bits(network, 7) == bits(made()[0], 7)
    assert not set(bits(network, 7)) & set(bits(network, 8))


def test_the_seed_alone_decides_the_weights_whatever_the_activation():
    assert bits(made(activation="relu")[0], 0) == bits(made(activation="tanh")[0], 0)


SWITCHES = {
    "activation": "tanh",
    "scale_observation": True,
    "layer_norm": True,
    "dueling": True,
    "noisy": True,
    "hidden_widths": (7,),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["plain", "all"])
def test_definitions_of_the_same_settings_are_equal_and_hash_alike(kind, switches):
    first, second = (network_of(settings_of(kind, **switches)) for _ in range(2))
    assert first is not second
    assert first == second
    assert hash(first) == hash(second)


def test_definitions_of_other_settings_leaves_actions_or_heads_differ():
    bounded = Leaf("", (3,), np.dtype(np.float32), low=(0.0,), high=(1.0,))
    definitions = [
        *(network_of(settings_of(kind), bounded) for kind in KINDS),
        *(network_of(settings_of(**{name: value}), bounded) for name, value in SWITCHES.items()),
        network_of(settings_of("c51", value_max=5.0), bounded),
        network_of(settings_of(), bounded, num_actions=3),
        network_of(settings_of(), numbers(4)),
        network_of(Settings().with_changes(q_function="table"), numbers(4)),
    ]
    for first, second in itertools.combinations(definitions, 2):
        assert first != second
    assert len(set(definitions)) == len(definitions)


def test_two_of_the_same_settings_share_one_compilation():
    traced = []

    def q_values(network, params, observation):
        traced.append(network)
        return network.q_values(params, observation)

    compiled = jax.jit(q_values, static_argnums=0)
    for network in (made()[0], made()[0]):
        compiled(network, network.init(0), STATES)
    assert len(traced) == 1
    other, params = made(activation="tanh")
    compiled(other, params, STATES)
    assert len(traced) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("switches", [{}, SWITCHES], ids=["plain", "all"])
def test_shapes_are_those_of_the_initial_parameters(kind, switches):
    network = network_of(settings_of(kind, **switches))
    params = network.init(0)
    assert jax.tree.structure(network.shapes) == jax.tree.structure(params)
    for shape, array in zip(jax.tree.leaves(network.shapes), jax.tree.leaves(params), strict=True):
        assert isinstance(shape, jax.ShapeDtypeStruct)
        assert (shape.shape, shape.dtype) == (array.shape, array.dtype)


def test_shapes_take_no_memory():
    """A hundred million billion weights."""
    network = network_of(settings_of(hidden_widths=(10**9, 10**8)))
    assert network.layout.size > 10**17


@pytest.mark.parametrize("kind", KINDS)
def test_all_parameters_have_an_effect(kind):
    """A gradient of zero throughout would be an array that nothing reads."""
    settings = settings_of(kind, activation="tanh", dueling=True, layer_norm=True, noisy=True)
    network = network_of(settings, numbers(4))
    noise = np.linspace(-1, 1, network.noise_size, dtype=np.float32)

    def total(params):
        outputs = network.apply(perturb(params, noise), jnp.asarray(STATES))
        return jnp.sum(outputs * jnp.cos(jnp.arange(outputs.size).reshape(outputs.shape)))

    slopes = jax.jit(jax.grad(total))(in_jax(network.init(0)))
    for path, slope in jax.tree_util.tree_leaves_with_path(slopes):
        assert np.abs(slope).max() > 0, path
