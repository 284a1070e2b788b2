"""Parameters by name."""

import jax
import numpy as np
import pytest

from frankrl.core.errors import SettingError
from frankrl.networks import DenseParams, NetworkParams, named_params, params_from_names
from frankrl.networks.layers import NormalisedParams


def _params() -> NetworkParams:
    random = np.random.default_rng(1)

    def dense(inputs: int, outputs: int) -> DenseParams:
        numbers = random.normal(size=(inputs + 1, outputs)).astype(np.float32)
        return DenseParams(numbers[:-1], numbers[-1])

    gain = np.ones(3, np.float32)
    return NetworkParams(
        ((dense(4, 2), ()),), (NormalisedParams(dense(2, 3), gain, 0 * gain),), dense(3, 2), ()
    )


def test_a_name_is_the_dotted_path_of_an_array():
    assert list(named_params(_params())) == [
        "torsos.0.0.weight",
        "torsos.0.0.bias",
        "hidden.0.layer.weight",
        "hidden.0.layer.bias",
        "hidden.0.gain",
        "hidden.0.shift",
        "output.weight",
        "output.bias",
    ]


def test_parameters_come_back_from_their_names():
    params = _params()
    again = params_from_names(jax.eval_shape(lambda: params), named_params(params))
    assert jax.tree.structure(again) == jax.tree.structure(params)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(params)))


def test_a_message_names_each_array_that_does_not_fit():
    arrays = named_params(_params())
    arrays["output.weight"] = np.zeros((5, 2), np.float32)
    arrays["output.bias"] = np.zeros(2, np.float64)
    del arrays["hidden.0.gain"]
    arrays["output.scale"] = np.zeros(1, np.float32)
    with pytest.raises(SettingError) as error:
        params_from_names(_params(), arrays)
    assert str(error.value) == (
        "hidden.0.gain should be float32[3] and is missing; "
        "output.weight should be float32[3, 2] and is float32[5, 2]; "
        "output.bias should be float32[2] and is float64[2]; "
        "output.scale (float32[1]) is unknown to this network"
    )


def test_a_long_list_is_cut():
    with pytest.raises(SettingError, match=r"; and 4 more$"):
        params_from_names(_params(), {})
