import pytest

from robustness import kills
from robustness.outcome import assert_all_held

pytestmark = pytest.mark.slow

TWO_CASES = [kills.CASES[number] for number in (3, 4)]
"""Eight LunarLanders without `overlap`, and one CartPole with it."""


def test_a_killed_run_continues_to_the_same_bits(tmp_path):
    outcome = kills.study(tmp_path, 2, many=2, cases=TWO_CASES)
    assert_all_held(outcome, at_least=3)
    assert outcome.notes["inside a save"] >= 1


@pytest.mark.parametrize(
    "case", [kills.ATARI, kills.MINATAR, kills.RECURRENT], ids=["atari", "minatar", "recurrent"]
)
def test_a_killed_run_that_sees_or_remembers_continues_to_the_same_bits(tmp_path, case):
    outcome = kills.study(tmp_path, 2, many=0, cases=[case])
    assert_all_held(outcome, at_least=2)
    assert outcome.notes["inside a save"] >= 1


@pytest.mark.parametrize("case", [kills.ON_DEVICE, kills.REMEMBERING], ids=["plain", "memory"])
def test_a_killed_run_on_the_device_continues_to_the_same_bits(tmp_path, case):
    outcome = kills.study(tmp_path, 2, many=0, cases=[case])
    assert_all_held(outcome, at_least=2)
    assert outcome.notes["inside a save"] >= 1
