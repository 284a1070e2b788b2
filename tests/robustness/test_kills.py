from robustness import kills
from robustness.outcome import assert_all_held


def test_a_killed_run_continues_to_the_same_bits(tmp_path):
    outcome = kills.study(tmp_path, 6, many=3, cases=[kills.CASES[0], kills.CASES[7]])
    assert_all_held(outcome, at_least=7)
    assert outcome.notes["inside a save"] >= 1
