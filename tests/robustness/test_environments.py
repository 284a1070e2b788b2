import pytest

from frankrl.environments import single
from robustness import environments
from robustness.outcome import assert_all_held


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:an environment has not closed")
def test_misbehaving_environments_give_a_clear_error_or_right_training(tmp_path, monkeypatch):
    # One environment never closes and one never ends an episode: waiting longer shows no more.
    monkeypatch.setattr(single, "_CLOSING_SECONDS", 0.1)
    assert_all_held(environments.study(tmp_path), at_least=14)
