"""The torture in its short form; `scripts/torture` is the long one."""

import shutil

import pytest

from robustness import damage, environments, faults, fuzz, kills, numbers, signals, snapshots


def assert_all_held(outcome, at_least=1):
    assert outcome.tried >= at_least
    assert outcome.held == outcome.tried, "\n".join(outcome.failures[:5])


def test_a_killed_run_continues_to_the_same_bits(tmp_path):
    outcome = kills.study(tmp_path, 6, many=3, cases=[kills.CASES[0], kills.CASES[7]])
    assert_all_held(outcome, at_least=7)
    assert outcome.notes["inside a save"] >= 1


def test_an_environment_is_brought_back_in_the_middle_of_an_episode():
    for outcome in snapshots.study(24):
        assert_all_held(outcome, at_least=16)


def test_damage_to_a_checkpoint_is_always_noticed(tmp_path):
    for outcome in damage.study(tmp_path, 150, 2):
        assert_all_held(outcome, at_least=2)


def test_a_disk_that_fails_once_costs_nothing_good_and_is_told(tmp_path):
    assert shutil.which("cc"), "this test compiles a shim: install a C compiler (apt: gcc)"
    assert_all_held(faults.study(tmp_path, most=10), at_least=10)


def test_a_signal_saves_the_run_and_gives_the_right_exit_status(tmp_path):
    assert_all_held(signals.study(tmp_path, 6), at_least=6)


def test_files_that_anyone_may_have_made_are_refused_in_franks_words(tmp_path):
    assert_all_held(fuzz.study(tmp_path, 1_000), at_least=900)


def test_a_number_that_is_not_finite_stops_the_run_within_one_update(tmp_path):
    assert_all_held(numbers.study(tmp_path, 2), at_least=8)


@pytest.mark.filterwarnings("ignore:an environment has not closed")
def test_misbehaving_environments_give_a_clear_error_or_right_training(tmp_path):
    assert_all_held(environments.study(tmp_path), at_least=14)
