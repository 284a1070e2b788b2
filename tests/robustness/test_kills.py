import pytest

from robustness import kills
from robustness.outcome import assert_all_held

TWO_CASES = [kills.CASES[0], kills.CASES[7]]


@pytest.mark.parametrize(
    ("number", "many", "cases"),
    [(2, 1, TWO_CASES), pytest.param(24, 10, kills.CASES, marks=pytest.mark.slow)],
    ids=["short", "long"],
)
def test_a_killed_run_continues_to_the_same_bits(tmp_path, number, many, cases):
    outcome = kills.study(tmp_path, number, many=many, cases=cases)
    assert_all_held(outcome, at_least=number + 1)
    assert outcome.notes["inside a save"] >= 1
