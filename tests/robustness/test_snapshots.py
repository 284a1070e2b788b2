from robustness import snapshots
from robustness.outcome import assert_all_held


def test_an_environment_is_brought_back_in_the_middle_of_an_episode():
    for outcome in snapshots.study(24):
        assert_all_held(outcome, at_least=16)
