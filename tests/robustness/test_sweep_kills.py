import pytest

from robustness import sweep_kills
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path):
    assert_all_held(sweep_kills.study(tmp_path, sweeps=4, kills=3), at_least=4)
