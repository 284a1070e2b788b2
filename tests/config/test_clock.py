"""A run counts env steps, or updates where it does not act: in words, and in names of settings."""

import pytest

from frankrl.config import Clock, Settings, setting_names


def test_a_moment_is_told_in_the_unit_of_the_clock():
    assert Clock.ENV_STEPS.at(1_200) == "env step 1,200"
    assert Clock.UPDATES.at(1_200) == "update 1,200"


def test_beside_the_number_of_an_update_only_env_steps_say_more():
    assert Clock.ENV_STEPS.beside_update(30) == "env step 30"
    assert Clock.UPDATES.beside_update(30) is None


@pytest.mark.parametrize("duration", ["total", "evaluate_every", "checkpoint_every", "log_every"])
def test_a_duration_has_a_setting_on_each_clock(duration):
    assert {clock.named(duration) for clock in Clock} <= {*setting_names()}


def test_a_run_that_does_not_act_reads_its_durations_by_updates():
    acting = Settings().with_changes(total_env_steps=700, log_every_env_steps=70)
    offline = Settings().with_changes(dataset="x-v0", total_updates=90, updates_per_round=40)
    assert (acting.clock, acting.budget_name) == (Clock.ENV_STEPS, "total_env_steps")
    assert (acting.budget, acting.log_every) == (700, 70)
    assert (offline.clock, offline.budget_name) == (Clock.UPDATES, "total_updates")
    assert offline.budget == 90
    # The budget in whole calls of 40 updates.
    assert offline.last_tick == 120
