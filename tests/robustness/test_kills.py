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


@pytest.mark.parametrize(
    ("case", "number", "many"),
    [
        (kills.ATARI, 2, 0),
        pytest.param(kills.ATARI, 6, 2, marks=pytest.mark.slow),
        pytest.param(kills.MINATAR, 6, 2, marks=pytest.mark.slow),
    ],
    ids=["atari", "atari, long", "minatar, long"],
)
def test_a_killed_run_that_sees_continues_to_the_same_bits(tmp_path, case, number, many):
    outcome = kills.study(tmp_path, number, many=many, cases=[case])
    assert_all_held(outcome, at_least=number)
    assert outcome.notes["inside a save"] >= 1
