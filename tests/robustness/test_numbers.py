import pytest

from robustness import numbers
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_number_that_is_not_finite_stops_the_run_within_one_update(tmp_path):
    assert_all_held(numbers.study(tmp_path, 1), at_least=4)
