import pytest

from robustness import sweep_kills
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path):
    # Its driver once and a worker once.
    outcome = sweep_kills.study(tmp_path, 1, 2, trials=2, pruners=("none",))
    assert_all_held(outcome)
