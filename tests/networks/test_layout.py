"""Parameters in one vector, and back."""

import itertools

import jax
import numpy as np
import pytest
from small_networks import KINDS, in_jax, network_of, settings_of

from frankrl.networks import Layout


def params_of(kind="mean", **changes):
    return network_of(settings_of(kind, **changes)).init(0)


def same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_come_back_from_their_vector_in_numpy_and_in_jax(kind):
    params = params_of(kind, dueling=True, layer_norm=True, noisy=True)
    layout = Layout.of(params)
    for given in (params, in_jax(params)):
        vector = layout.flatten(given)
        assert type(vector) is type(jax.tree.leaves(given)[0])
        assert vector.shape == (layout.size,)
        assert same(layout.unflatten(vector), given)


def test_the_vector_holds_the_arrays_one_after_another():
    params = params_of()
    arrays = [array.ravel().tolist() for array in jax.tree.leaves(params)]
    assert Layout.of(params).flatten(params).tolist() == [*itertools.chain(*arrays)]


def test_a_compiled_round_trip_gives_the_same_bits():
    params = params_of("iqn")
    layout = Layout.of(params)
    assert same(jax.jit(lambda given: layout.unflatten(layout.flatten(given)))(params), params)


def test_of_a_numpy_vector_the_parameters_are_views():
    params = params_of()
    layout = Layout.of(params)
    vector = np.zeros(layout.size, np.float32)
    views = layout.unflatten(vector)
    assert all(np.shares_memory(view, vector) for view in jax.tree.leaves(views))
    vector[:] = layout.flatten(params)
    assert same(views, params)


def test_the_vector_is_a_copy():
    params = params_of("mean", hidden_widths=())
    layout = Layout.of(params)
    vector = layout.flatten(params)
    assert not any(np.shares_memory(vector, array) for array in jax.tree.leaves(params))
    lone = Layout.of((params.output.weight,))
    assert not np.shares_memory(lone.flatten((params.output.weight,)), params.output.weight)


def test_a_layout_of_shapes_is_that_of_the_arrays_and_hashes_like_it():
    network = network_of(settings_of("c51", dueling=True))
    layout = Layout.of(network.init(3))
    assert layout == Layout.of(network.shapes) == network.layout
    assert hash(layout) == hash(network.layout)
    assert layout != network_of(settings_of("c51")).layout
    assert layout.size == sum(leaf.size for leaf in jax.tree.leaves(network.init(0)))
