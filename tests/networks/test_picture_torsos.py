"""Torsos for pictures, held against Equinox's layers with the same weights."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from long_forms import some_of
from small_networks import ACTIONS, KINDS, in_jax, network_of, numbers, settings_of

from frankrl.core.errors import SettingError
from frankrl.environments import Leaf, PictureAxes
from frankrl.networks import Flatten, perturb
from frankrl.networks.convolution import Convolution
from frankrl.networks.initializer import SeededInitializer
from frankrl.networks.layers import NoisyParams, NormalisedParams
from frankrl.networks.pictures import PictureTorso
from frankrl.networks.stages import Convolved, MaxPool

SHAPES = {"minatar": (10, 9, 4), "nature": (42, 37, 3), "impala": (17, 12, 3)}


def picture(*shape: int, name: str = "", dtype=np.uint8) -> Leaf:
    return Leaf(name, shape, np.dtype(dtype), low=(0.0,), high=(255.0,))


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def equinox_convolution(convolution: Convolution, params, x: jax.Array) -> jax.Array:
    """Equinox's convolution of (channel, height, width) with the same weights."""
    inputs, size = x.shape[0], convolution.size
    stride, padding = convolution.stride, convolution.padding
    made = eqx.nn.Conv2d(
        inputs, convolution.num_outputs, size, stride, padding, key=jax.random.key(0)
    )
    kernel = params.weight.reshape(size, size, inputs, convolution.num_outputs)
    weights = jnp.asarray(np.transpose(kernel, (3, 2, 0, 1))), jnp.asarray(params.bias)
    made = eqx.tree_at(
        lambda made: (made.weight, made.bias), made, (weights[0], weights[1].reshape(-1, 1, 1))
    )
    return made(x)


def minatar_by_equinox(torso: PictureTorso, params, x: jax.Array) -> jax.Array:
    return jax.nn.relu(equinox_convolution(Convolution(16, 3), params[0], x))


def nature_by_equinox(torso: PictureTorso, params, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(equinox_convolution(Convolution(32, 8, 4), params[0], x))
    x = jax.nn.relu(equinox_convolution(Convolution(64, 4, 2), params[2], x))
    return jax.nn.relu(equinox_convolution(Convolution(64, 3, 1), params[4], x))


def impala_by_equinox(torso: PictureTorso, params, x: jax.Array) -> jax.Array:
    pool = eqx.nn.MaxPool2d(3, 2, padding=1)
    for block, channels in enumerate((16, 32, 32)):
        inner = Convolution(channels, 3, 1, 1)
        convolution, _, *residuals = params[4 * block : 4 * block + 4]
        x = pool(equinox_convolution(inner, convolution, x))
        for _, one, _, two in residuals:
            y = equinox_convolution(inner, one, jax.nn.relu(x))
            x = x + equinox_convolution(inner, two, jax.nn.relu(y))
    return jax.nn.relu(x)


BY_EQUINOX = {
    "minatar": minatar_by_equinox,
    "nature": nature_by_equinox,
    "impala": impala_by_equinox,
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_torso_computes_what_equinox_computes_with_the_same_weights(kind):
    network = network_of(settings_of(torso=kind), picture(*SHAPES[kind]))
    (torso,), params = network.encoder.torsos, network.init(3).torsos[0]
    pixels = pictures(2, *SHAPES[kind])
    found = torso.apply(params, pixels)
    peer = jax.jit(functools.partial(BY_EQUINOX[kind], torso, params))
    for row, pixel in zip(found, pixels, strict=True):
        x = jnp.moveaxis(jnp.asarray(pixel, jnp.float32) / 255, -1, 0)
        expected = np.moveaxis(np.asarray(peer(x)), 0, -1)
        np.testing.assert_allclose(row, expected.ravel(), rtol=1e-4, atol=1e-5)
    assert torso.num_features == found.shape[1]


CONVOLUTIONS = [
    Convolution(5, 3),
    Convolution(5, 8, 4),
    Convolution(5, 4, 2),
    Convolution(5, 3, 2),
    Convolution(5, 3, 1, 1),
    Convolution(5, 4, 4, 2),
    Convolution(5, 1),
]


def by_xla(layer: Convolution, params, inputs: jax.Array) -> jax.Array:
    """The same by XLA's own convolution."""
    kernel = params.weight.reshape(layer.size, layer.size, inputs.shape[-1], layer.num_outputs)
    pad = (layer.padding, layer.padding)
    strides, axes = (layer.stride, layer.stride), ("NHWC", "HWIO", "NHWC")
    outputs = jax.lax.conv_general_dilated(
        inputs, kernel, strides, (pad, pad), dimension_numbers=axes
    )
    return outputs + params.bias


APPLIED = [(shape, layer) for shape in ((2, 11, 9, 3), (1, 8, 8, 1)) for layer in CONVOLUTIONS]


# Each of the layers with one of the shapes.
@pytest.mark.parametrize(("shape", "layer"), some_of(APPLIED, APPLIED[::2]), ids=str)
def test_products_of_patches_are_the_convolution_of_xla_and_so_are_their_gradients(shape, layer):
    params = layer.init(SeededInitializer(0), shape[-1])
    inputs = np.random.default_rng(1).normal(size=shape).astype(np.float32)

    def total(apply, params, inputs):
        outputs = apply(params, inputs)
        return jnp.sum(outputs * jnp.cos(jnp.arange(outputs.size).reshape(outputs.shape)))

    applied = layer.apply, functools.partial(by_xla, layer)
    found, expected = (jax.jit(apply)(*in_jax((params, inputs))) for apply in applied)
    for outputs in (found, layer.apply(params, inputs)):
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    gradients = (
        jax.jit(jax.grad(functools.partial(total, apply), (0, 1)))(*in_jax((params, inputs)))
        for apply in applied
    )
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4), *gradients
    )
    assert found.shape[1:3] == tuple(layer.output_side(side) for side in shape[1:3])


def test_pooling_is_that_of_equinox():
    inputs = np.random.default_rng(1).normal(size=(2, 9, 12, 3)).astype(np.float32)
    found = MaxPool(3, 2, 1).apply((), inputs)
    pool = eqx.nn.MaxPool2d(3, 2, padding=1)
    expected = [np.moveaxis(np.asarray(pool(jnp.moveaxis(x, -1, 0))), 0, -1) for x in inputs]
    np.testing.assert_array_equal(found, expected)


def test_layer_norm_gives_each_pixel_mean_0_and_variance_1_over_channels():
    stage = Convolved(Convolution(8, 3), layer_norm=True)
    params = stage.init(SeededInitializer(0), 2)
    assert isinstance(params, NormalisedParams)
    found = stage.apply(params, pictures(2, 6, 5, 2).astype(np.float32))
    np.testing.assert_allclose(found.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(axis=-1), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "stack", "moved"),
    [
        ((12, 10), 1, lambda x: x[..., None]),
        ((12, 10, 3), 1, lambda x: x),
        ((3, 12, 10), 1, lambda x: np.moveaxis(x, 1, -1)),
        ((12, 10), 4, lambda x: np.moveaxis(x, 1, -1)),
        ((12, 10, 3), 2, lambda x: np.concatenate([x[:, 0], x[:, 1]], axis=-1)),
        (
            (3, 12, 10),
            2,
            lambda x: np.concatenate([np.moveaxis(x[:, i], 1, -1) for i in (0, 1)], -1),
        ),
    ],
    ids=["grey", "colour", "channels first", "stack", "stack of colours", "stack channels first"],
)
def test_every_order_of_axes_becomes_height_width_channel(shape, stack, moved):
    leaf = picture(*shape)
    network = network_of(settings_of(), leaf, frame_stack=stack)
    (torso,) = network.encoder.torsos
    assert isinstance(torso, PictureTorso)
    pixels = pictures(5, *([stack] if stack > 1 else []), *shape)
    np.testing.assert_array_equal(torso.axes.channels_last(pixels), moved(pixels))
    assert (torso.axes.height, torso.axes.width) == (12, 10)


@pytest.mark.parametrize(
    ("shape", "height_width_channels"),
    [
        ((8, 84, 84), (84, 84, 8)),
        ((12, 84, 84), (84, 84, 12)),
        ((9, 96, 96), (96, 96, 9)),
        ((3, 210, 160), (210, 160, 3)),
        ((1, 8, 8), (8, 8, 1)),
        ((10, 10, 10), (10, 10, 10)),
        ((10, 10, 4), (10, 10, 4)),
        ((84, 84, 8), (84, 84, 8)),
        ((5, 40, 30), (5, 40, 30)),
        ((96, 12, 12), (96, 12, 12)),
    ],
    ids=str,
)
def test_channels_are_first_where_the_other_axes_are_equal_and_longer(shape, height_width_channels):
    axes = PictureAxes.of(shape, 1)
    assert axes is not None
    assert (axes.height, axes.width, axes.channels) == height_width_channels
    pixels = pictures(2, *shape)
    expected = pixels if height_width_channels == shape else np.moveaxis(pixels, 1, -1)
    np.testing.assert_array_equal(axes.channels_last(pixels), expected)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((84, 84), np.uint8, 6),
        ((36, 40, 3), np.uint8, 6),
        ((35, 84, 3), np.uint8, 2),
        ((10, 10, 7), np.uint8, 2),
        ((7, 7, 3), np.uint8, None),
        ((84, 84), np.float32, None),
        ((84,), np.uint8, None),
        ((2, 2, 84, 84), np.uint8, None),
    ],
    ids=str,
)
def test_auto_chooses_by_the_size_of_a_picture_of_bytes(shape, dtype, expected):
    (torso,) = network_of(settings_of(), picture(*shape, dtype=dtype)).encoder.torsos
    if expected is None:
        assert isinstance(torso, Flatten)
    else:
        assert isinstance(torso, PictureTorso)
        assert len(torso.stages) == expected


@pytest.mark.parametrize(("kind", "least"), [("nature", 36), ("minatar", 3), ("impala", 1)])
def test_a_picture_too_small_for_the_torso_is_refused_and_the_least_size_is_not(kind, least):
    settings = settings_of(torso=kind)
    network_of(settings, picture(least, least, 3))
    if least > 1:
        with pytest.raises(SettingError, match=f"at least {least} × {least} pixels") as error:
            network_of(settings, picture(least + 3, least - 1, 3))
        assert f"{least + 3} × {least - 1}" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "side", "others"),
    [("nature", 35, "minatar, impala"), ("nature", 2, "impala"), ("minatar", 2, "impala")],
)
def test_only_torsos_that_fit_are_named_instead_of_one_that_does_not(kind, side, others):
    leaf = picture(side, side)
    with pytest.raises(SettingError, match=f": use torso {others} or flat$"):
        network_of(settings_of(torso=kind), leaf)
    for other in (*others.split(", "), "flat"):
        network_of(settings_of(torso=other), leaf)


def test_a_named_torso_reads_the_leaves_that_auto_reads():
    leaves = picture(48, 48, name="a"), Leaf("b", (3, 3), np.dtype(np.float32))
    auto, named = (network_of(settings_of(torso=kind), *leaves) for kind in ("auto", "nature"))
    assert named.encoder == auto.encoder
    assert isinstance(named.encoder.torsos[1], Flatten)


def test_without_a_leaf_that_auto_reads_a_named_torso_reads_all_that_can_be_pictures():
    leaves = (
        picture(12, 12, 3, name="a", dtype=np.float32),
        picture(5, 5, name="b"),
        numbers(4),
    )
    kinds = [
        type(torso) for torso in network_of(settings_of(torso="minatar"), *leaves).encoder.torsos
    ]
    assert kinds == [PictureTorso, PictureTorso, Flatten]


def test_a_torso_for_pictures_without_a_picture_is_refused():
    with pytest.raises(
        SettingError, match=r"the observations hold none: they have the shape \[3\]"
    ):
        network_of(settings_of(torso="nature"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stack", [1, 3])
def test_a_picture_and_a_vector_join_in_any_head_with_dueling_noise_and_layer_norm(kind, stack):
    leaves = picture(10, 10, 2, name="a"), Leaf("b", (3,), np.dtype(np.float32))
    settings = settings_of(kind, dueling=True, layer_norm=True)
    network = network_of(settings, *leaves, noisy=True, frame_stack=stack)
    in_front = (4, stack) if stack > 1 else (4,)
    vector = np.random.default_rng(2).normal(size=(*in_front, 3)).astype(np.float32)
    observation = {"a": pictures(*in_front, 10, 10, 2), "b": vector}
    noise = np.random.default_rng(3).normal(size=network.noise_size).astype(np.float32)
    params = perturb(network.init(0), noise)
    on_host = network.q_values(params, observation)
    assert on_host.shape == (4, ACTIONS)
    by_jax = jax.jit(network.q_values)(in_jax(params), in_jax(observation))
    np.testing.assert_allclose(on_host, by_jax, rtol=1e-3, atol=1e-4)
    for part in ("a", "b"):
        changed = observation | {part: observation[part][::-1].copy()}
        assert (network.q_values(params, changed) != on_host).any()
    layers = jax.tree.leaves(params.torsos, is_leaf=lambda node: isinstance(node, NoisyParams))
    assert not any(isinstance(layer, NoisyParams) for layer in layers)


def test_the_layers_have_the_sizes_of_the_papers():
    nature = network_of(
        settings_of(torso="nature", hidden_widths=(512,)), picture(84, 84), frame_stack=4
    )
    # Mnih et al. (2015): 1,684,128 parameters below the outputs, 513 for each action.
    assert nature.layout.size == 1_684_128 + 513 * ACTIONS
    minatar = network_of(settings_of(hidden_widths=(128,)), picture(10, 10, 4))
    assert minatar.layout.size == (9 * 4 + 1) * 16 + (8 * 8 * 16 + 1) * 128 + 129 * ACTIONS
    impala = network_of(
        settings_of(torso="impala", hidden_widths=(256,)), picture(84, 84), frame_stack=4
    )
    assert impala.encoder.torsos[0].num_features == 11 * 11 * 32
