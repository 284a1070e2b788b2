import pytest

from robustness import kills
from robustness.outcome import assert_all_held

pytestmark = pytest.mark.slow


def test_a_killed_run_continues_to_the_same_bits(tmp_path):
    """One CartPole with `overlap`: killed inside a save, and elsewhere."""
    outcome = kills.study(tmp_path, 2, many=0, cases=[kills.CASES[4]])
    assert_all_held(outcome, at_least=2)
    assert outcome.notes["inside a save"] >= 1


@pytest.mark.parametrize("case", [kills.ATARI, kills.REMEMBERING], ids=["atari", "device-memory"])
def test_a_run_that_is_killed_inside_a_save_continues_to_the_same_bits(tmp_path, case):
    outcome = kills.study(tmp_path, 1, many=0, cases=[case])
    assert_all_held(outcome, at_least=1)
    assert outcome.notes["inside a save"] == 1
