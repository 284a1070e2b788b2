import pytest

from robustness import damage
from robustness.outcome import assert_all_held


@pytest.mark.slow
def test_damage_to_a_checkpoint_is_always_noticed(tmp_path):
    for outcome in damage.study(tmp_path, 60, 1):
        assert_all_held(outcome, at_least=1)
