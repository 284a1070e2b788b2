import pytest

from robustness import signals
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_a_signal_saves_the_run_and_gives_the_right_exit_status(tmp_path):
    outcome = signals.study(tmp_path, 6)
    assert_all_held(outcome, at_least=6)
    assert outcome.notes == {"while starting": 2, "while training": 4}
