"""When the target network is copied, and how far it follows."""

import itertools

import numpy as np
import pytest
from learning_run import REFRESH, begun, learn, setup

from frankrl.learning import LearnerState


@pytest.mark.parametrize("period", [1, 3, 4])
def test_the_target_network_is_copied_after_every_nth_update_and_frozen_in_between(period):
    states, _ = learn(setup(target_period_updates=period), 9)
    for number, (before, after) in enumerate(itertools.pairwise(states), start=1):
        assert int(after.num_updates) == number
        source = after.params if number % period == 0 else before.target_params
        np.testing.assert_array_equal(after.target_params, source)
        assert not np.array_equal(after.params, before.params)


def numbered(count, params, target_params):
    state = begun(setup())
    return LearnerState(
        params=np.float32(params),
        target_params=np.float32(target_params),
        average_params=None,
        opt_state=state.opt_state,
        num_updates=np.uint32(count),
    )


@pytest.mark.parametrize(("tau", "expected"), [(1.0, [5, -3]), (0.25, [2, 0]), (0.5, [3, -1])])
def test_a_soft_target_goes_a_share_of_the_way(tau, expected):
    made = setup(tau=tau, target_period_updates=2)
    due = REFRESH(made.learning, numbered(4, [5, -3], [1, 1]))
    assert due.target_params.tolist() == expected
    assert due.params.tolist() == [5, -3]
    not_due = REFRESH(made.learning, numbered(5, [5, -3], [1, 1]))
    assert not_due.target_params.tolist() == [1, 1]
    assert int(not_due.num_updates) == 5


def test_a_parameter_that_is_not_finite_is_not_spread_before_a_refresh_is_due():
    made = setup(tau=0.5, target_period_updates=2)
    found = REFRESH(made.learning, numbered(1, [np.nan, np.inf], [1, 1]))
    assert found.target_params.tolist() == [1, 1]
