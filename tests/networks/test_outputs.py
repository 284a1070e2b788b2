"""The last layer: which number belongs to which action."""

import numpy as np
import pytest
from small_networks import in_jax

from frankrl.networks import ActionOutputs, Dense, DenseParams, Dueling, Table
from frankrl.networks.initializer import SeededInitializer

FEATURES = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def test_numbers_of_an_action_lie_beside_each_other():
    outputs = ActionOutputs(Dense(6), 2, 3)
    params = DenseParams(np.zeros((4, 6), np.float32), np.arange(6, dtype=np.float32))
    assert outputs.apply(params, FEATURES)[3].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("atoms", [None, 3])
def test_dueling_splits_into_the_states_value_and_advantages_of_mean_zero(atoms):
    """Of a distribution in every atom, by a plain loop over actions."""
    dueling = Dueling(ActionOutputs(Dense(3 * (atoms or 1)), 3, atoms))
    params = dueling.init(SeededInitializer(0), 4)
    said = (FEATURES @ params.weight + params.bias).reshape(5, 3, -1).astype(np.float64)
    value, advantages = said[:, 0], [said[:, 1], said[:, 2]]
    mean = sum(advantages) / 2
    expected = np.stack([value + advantage - mean for advantage in advantages], axis=1)

    found = dueling.apply(params, FEATURES)
    assert dueling.num_actions == 2
    assert found.shape == ((5, 2) if atoms is None else (5, 2, atoms))
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=1).ravel(), value.ravel(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(dueling.apply(in_jax(params), FEATURES), found, atol=1e-5)


def test_a_table_begins_with_zeros_and_looks_up_the_row_of_a_state():
    table = Table(2)
    assert not table.init(SeededInitializer(0), 4).any()
    rows = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    states = [3, 0, 3]
    one_hot = np.eye(4, dtype=np.float32)[states]
    np.testing.assert_array_equal(table.apply(rows, one_hot), rows[states])
    np.testing.assert_array_equal(table.apply(*in_jax((rows, one_hot))), rows[states])
