import pytest

from robustness import signals
from robustness.outcome import assert_all_held


@pytest.mark.parametrize(
    "number", [3, pytest.param(24, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_a_signal_saves_the_run_and_gives_the_right_exit_status(tmp_path, number):
    outcome = signals.study(tmp_path, number)
    assert_all_held(outcome, at_least=number)
    assert outcome.notes == {"while starting": number // 3, "while training": number - number // 3}
