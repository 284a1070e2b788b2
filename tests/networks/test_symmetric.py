"""Networks that treat mirror images alike, beside plain means of forward passes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exporting.exported_agents import spec_for
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples
from small_networks import KINDS, in_jax, random_batch, random_noise, settings_of

from frankrl.environments import together
from frankrl.environments.symmetry import symmetries_of
from frankrl.learning import network_for
from frankrl.learning.loss_terms import batch_loss, update_terms
from frankrl.networks import perturb

MIRROR = {"observation": {"components": [0, 2, 1], "signs": [-1, 1, 1]}, "actions": [1, 0, 2, 3]}
TURN = [1, 2, 3, 0]
COLUMNS_SWAPPED = np.arange(270).reshape(9, 10, 3)[:, ::-1].ravel().tolist()
NUMBERED = {"observation": {"values": [[3, 1, 2, 0]]}, "actions": [3, 2, 1, 0]}
PARTS = spaces.Dict({"place": spaces.Box(-9, 9, (2,)), "room": spaces.Discrete(4)})
OF_PARTS = {
    "observation": {"place": {"signs": [-1, 1]}, "room": {"values": [[1, 0, 2, 3]]}},
    "actions": [1, 0, 2, 3],
}
SPACES = {
    "numbers": (spaces.Box(-9, 9, (3,)), [MIRROR], 1),
    "a group of eight": (
        spaces.Box(-9, 9, (4,)),
        [
            {"observation": {"components": TURN}, "actions": TURN},
            {"observation": {"components": [3, 2, 1, 0]}, "actions": [3, 2, 1, 0]},
        ],
        1,
    ),
    "numbered": (spaces.Discrete(4), [NUMBERED], 1),
    "parts": (PARTS, [OF_PARTS], 1),
    "stacked parts": (PARTS, [OF_PARTS], 3),
    "pictures": (
        spaces.Box(0, 255, (9, 10, 3), np.uint8),
        [{"observation": {"components": COLUMNS_SWAPPED}, "actions": [1, 0, 2, 3]}],
        1,
    ),
}


def symmetric(kind="mean", *, case="numbers", **changes):
    space, declared, stack = SPACES[case]
    spec = spec_for(space, stack=stack)
    found = symmetries_of(declared, spec.leaves, spec.num_actions)
    spec = dataclasses.replace(spec, symmetries=found)
    wanted = settings_of(kind, symmetry=True, **changes)
    return spec, network_for(wanted, spec), wanted


def random_states(spec, random, count=7):
    stack = spec.preprocessing.frame_stack
    in_front = (count, stack) if stack > 1 else (count,)
    leaves = [
        random.integers(0, max(leaf.num_values or (256,)), (*in_front, *leaf.shape)).astype(
            leaf.dtype
        )
        if leaf.dtype.kind in "iu"
        else random.normal(size=(*in_front, *leaf.shape)).astype(leaf.dtype)
        for leaf in spec.leaves
    ]
    return together(spec.structure, leaves)


def image(network, symmetry, observation):
    leaves, structure = jax.tree.flatten(observation)
    images = [
        own.image(leaf, axes)
        for own, leaf, axes in zip(symmetry.leaves, leaves, network.num_axes, strict=True)
    ]
    return jax.tree.unflatten(structure, images)


def random_params(network, random):
    return jax.tree.map(
        lambda array: random.normal(size=array.shape).astype(np.float32), network.shapes
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", [{}, {"dueling": True, "layer_norm": True, "noisy": True}])
@examples(10)
@given(seed=st.integers(0, 2**31))
def test_mirror_images_have_mirrored_outputs_with_any_head(kind, changes, seed):
    spec, network, _ = symmetric(kind, **changes)
    random = np.random.default_rng(seed)
    params, states = random_params(network, random), random_states(spec, random)
    fractions = None
    if network.head.num_fractions:
        fractions = random.random((7, network.head.num_fractions)).astype(np.float32)
    if network.noise_size:
        params = perturb(params, random.normal(size=network.noise_size).astype(np.float32))
    _, mirror = network.group
    outputs = network.apply(params, states, fractions)
    mirrored = network.apply(params, image(network, mirror, states), fractions)
    allowed = 1e-5 * np.abs(outputs).max()
    np.testing.assert_allclose(mirrored[:, list(mirror.actions)], outputs, rtol=0, atol=allowed)


@pytest.mark.parametrize("case", SPACES)
def test_mirror_images_have_mirrored_q_values_in_any_space(case):
    spec, network, _ = symmetric(case=case)
    random = np.random.default_rng(3)
    params, states = random_params(network, random), random_states(spec, random)
    q_values = network.q_values(params, states)
    assert len(network.group) == (8 if case == "a group of eight" else 2)
    for symmetry in network.group:
        mirrored = network.q_values(params, image(network, symmetry, states))
        found = mirrored[:, list(symmetry.actions)]
        np.testing.assert_allclose(found, q_values, rtol=1e-4, atol=1e-4)
    compiled = jax.jit(network.q_values)(params, states)
    np.testing.assert_allclose(compiled, q_values, rtol=1e-4, atol=1e-4)


def test_the_mirror_image_of_a_state_has_the_mirrored_action_mask():
    spec, network, _ = symmetric()
    random = np.random.default_rng(5)
    params, states = random_params(network, random), random_states(spec, random)
    mask = random.random((7, spec.num_actions)) < 0.5
    mirror = network.group[1]
    mirrored_mask = np.empty_like(mask)
    mirrored_mask[:, list(mirror.actions)] = mask
    mirrored = network.q_values(params, image(network, mirror, states), mirrored_mask)
    expected = network.q_values(params, states, mask)
    np.testing.assert_allclose(mirrored[:, list(mirror.actions)], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("mean", {"double": True, "layer_norm": True}),
        ("c51", {}),
        ("qr", {"dueling": True, "noisy": True}),
        ("iqn", {"munchausen": True}),
    ],
)
def test_loss_and_gradient_are_those_of_the_mean_of_two_forward_passes(kind, changes):
    _, network, wanted = symmetric(kind, **changes)
    random = np.random.default_rng(8)
    params, target_params = (in_jax(random_params(network, random)) for _ in range(2))
    batch, noise = in_jax(random_batch(4)), in_jax(random_noise(network, 6))
    single = network.network

    class Naive(type(network)):
        def apply(self, params, observation, fractions=None):
            one = single.apply(params, observation, fractions)
            mirrored = observation.at[:, 0].multiply(-1)[:, jnp.array([0, 2, 1])]
            other = single.apply(params, mirrored, fractions)
            return (one + other[:, jnp.array([1, 0, 2, 3])]) / 2

    naive = Naive(network.network, network.group, network.num_axes)

    @jax.jit
    def both():
        return [
            update_terms(wanted.learning, one, params, target_params, batch, noise, None)
            for one in (network, naive)
        ]

    found, expected = both()
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_mirrored_batch_has_the_same_loss_and_gradient():
    _, network, _ = symmetric()
    params = in_jax(random_params(network, np.random.default_rng(1)))
    batch, noise = in_jax(random_batch(4)), random_noise(network, 6)
    mirror = network.group[1]
    mirrored = batch._replace(
        observation=image(network, mirror, batch.observation),
        action=jnp.array(mirror.actions, jnp.uint16)[batch.action],
    )
    targets = jnp.linspace(-1, 1, len(batch.reward))

    def loss(params, batch):
        return batch_loss(network, params, batch, targets, noise)[0]

    value_and_gradient = jax.jit(jax.value_and_grad(loss))
    found, expected = value_and_gradient(params, mirrored), value_and_gradient(params, batch)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_the_parameters_are_those_of_the_network_without_symmetry():
    _, network, wanted = symmetric(dueling=True)
    spec, _, _ = symmetric()
    plain = network_for(wanted.with_changes(symmetry=False), spec)
    ours, theirs = network.init(5), plain.init(5)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    assert network.num_products == 2 * plain.num_products


def test_networks_of_the_same_settings_and_symmetries_are_equal():
    _, one, _ = symmetric("qr")
    _, other, _ = symmetric("qr")
    assert (one, hash(one)) == (other, hash(other))
