import pytest

from robustness import signals
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_signal_saves_the_run_and_gives_the_right_exit_status(tmp_path):
    # SIGINT once while it starts and once while it trains, then SIGTERM.
    outcome = signals.study(tmp_path, 3, signals.CASES[1:])
    assert_all_held(outcome, at_least=3)
    assert outcome.notes == {"while starting": 1, "while training": 2}
