"""From the leaves of an observation to features, against plain NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import in_jax, network_of, numbers, settings_of

from frankrl.core.types import Scaling
from frankrl.environments.leaves import Leaf
from frankrl.networks import Flatten, OneHot

PICTURE = Leaf("", (2, 3), np.dtype(np.uint8), low=(0.0,), high=(255.0,))
BOUNDED = Leaf("", (2,), np.dtype(np.float32), low=(-1.2, -0.07), high=(0.6, 0.07))
HUGE = float(np.finfo(np.float32).max)


def torso_of(leaf, **changes):
    (torso,) = network_of(settings_of(**changes), leaf).encoder.torsos
    return torso


def in_both(torso, leaf):
    """What comes out in NumPy, after a look at what comes out in JAX."""
    found, same = torso.apply((), leaf), torso.apply((), jnp.asarray(leaf))
    assert isinstance(found, np.ndarray)
    assert found.dtype == same.dtype == np.float32
    assert found.shape == same.shape == (len(leaf), torso.num_features)
    np.testing.assert_allclose(same, found, rtol=1e-6, atol=1e-6)
    return found


def test_an_index_is_a_row_of_the_identity():
    torso = torso_of(Leaf("", (), np.dtype(np.int32), (5,), (0,)))
    indices = np.array([3, 0, 4, 3], np.int32)
    np.testing.assert_array_equal(in_both(torso, indices), np.eye(5)[indices])


def test_several_indices_are_rows_of_identities_side_by_side():
    torso = torso_of(Leaf("", (3,), np.dtype(np.int32), (2, 4, 3), (0, 0, 0)))
    indices = np.random.default_rng(0).integers(0, (2, 4, 3), (6, 3)).astype(np.int32)
    expected = np.concatenate(
        [np.eye(size)[column] for size, column in zip((2, 4, 3), indices.T, strict=True)], axis=1
    )
    np.testing.assert_array_equal(in_both(torso, indices), expected)


def test_indices_in_a_grid_are_taken_row_by_row():
    torso = OneHot((2, 3, 2, 3))
    grid = np.int32([[[1, 2], [0, 1]]])
    assert in_both(torso, grid).tolist() == [[0, 1, 0, 0, 1, 1, 0, 0, 1, 0]]


@pytest.mark.parametrize("to_bounds", [False, True])
def test_a_picture_is_flattened_row_by_row_and_its_bytes_scaled(to_bounds):
    picture = np.random.default_rng(0).integers(0, 256, (5, 2, 3)).astype(np.uint8)
    expected = picture.reshape(5, 6) / 255
    if to_bounds:
        expected = 2 * expected - 1
    found = in_both(torso_of(PICTURE, scale_observation=to_bounds), picture)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_bounds_become_minus_one_and_one_where_that_is_wanted():
    corners = np.array([[-1.2, 0.07], [0.6, -0.07], [-0.3, 0.0]], np.float32)
    found = in_both(torso_of(BOUNDED, scale_observation=True), corners)
    np.testing.assert_allclose(found, [[-1, 1], [1, -1], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(in_both(torso_of(BOUNDED), corners), corners)


def test_bounds_that_are_none_leave_numbers_as_they_are():
    leaf = Leaf("", (3,), np.dtype(np.float32), low=(-HUGE, -1, -np.inf), high=(HUGE, 3, np.inf))
    found = in_both(torso_of(leaf, scale_observation=True), np.float32([[7, 3, -9]]))
    np.testing.assert_allclose(found, [[7, 1, -9]], rtol=1e-6)


def test_a_single_number_is_an_observation_too():
    assert in_both(torso_of(numbers()), np.float32([0.3, -2])).tolist() == [
        [np.float32(0.3)],
        [-2],
    ]


@pytest.mark.parametrize(
    ("torso", "dtype"), [(Flatten((2,), Scaling()), np.float32), (OneHot((3, 2)), np.int32)]
)
def test_an_empty_batch_gives_no_rows_of_features(torso, dtype):
    assert in_both(torso, np.zeros((0, 2), dtype)).shape[0] == 0


def test_leaves_are_joined_in_the_order_of_their_names():
    """A dictionary of a picture, a vector, and a tuple of an index and a number."""
    leaves = (
        Leaf("count.0", (), np.dtype(np.int32), (3,), (0,)),
        Leaf("count.1", (), np.dtype(np.float32)),
        Leaf("picture", (2, 3), np.dtype(np.uint8), low=(0.0,), high=(255.0,)),
        Leaf("speed", (2,), np.dtype(np.float32)),
    )
    random = np.random.default_rng(0)
    observation = {
        "speed": random.normal(size=(4, 2)).astype(np.float32),
        "picture": random.integers(0, 256, (4, 2, 3)).astype(np.uint8),
        "count": (np.int32([2, 0, 1, 2]), np.float32([0.5, -1, 0, 2])),
    }
    network = network_of(settings_of(hidden_widths=(7,)), *leaves)
    params = network.init(0)

    index, number = observation["count"]
    features = np.concatenate(
        [
            np.eye(3)[index],
            number[:, None],
            observation["picture"].reshape(4, 6) / 255,
            observation["speed"],
        ],
        axis=1,
    )
    (hidden,) = params.hidden
    units = np.maximum(features @ hidden.weight.astype(np.float64) + hidden.bias, 0)
    expected = units @ params.output.weight + params.output.bias

    found = network.q_values(params, observation)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        network.q_values(in_jax(params), in_jax(observation)), expected, rtol=1e-5, atol=1e-6
    )


def test_an_observation_with_too_few_leaves_is_refused():
    leaves = (Leaf("a", (1,), np.dtype(np.float32)), Leaf("b", (1,), np.dtype(np.float32)))
    network = network_of(settings_of(), *leaves)
    with pytest.raises(ValueError, match="shorter"):
        network.q_values(network.init(0), {"a": np.zeros((2, 1), np.float32)})


def test_a_lone_leaf_in_a_dictionary_is_seen_as_the_leaf_itself():
    network = network_of(settings_of(), numbers(3))
    params, states = network.init(0), np.random.default_rng(0).normal(size=(4, 3))
    states = states.astype(np.float32)
    np.testing.assert_array_equal(
        network.q_values(params, {"only": states}), network.q_values(params, states)
    )
