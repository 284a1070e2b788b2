import dataclasses

import pytest

from frankrl.config import Settings, setting_names
from frankrl.core.errors import SettingError


def changed(**changes):
    return Settings().with_changes(**changes)


@pytest.mark.parametrize(
    ("given_name", "meant"),
    [
        ("num_env", "num_envs"),
        ("lerning_rate", "learning_rate"),
        ("Gamma", "gamma"),
        ("target_period", "target_period_updates"),
    ],
)
def test_an_unknown_setting_names_the_nearest_one(given_name, meant):
    with pytest.raises(SettingError, match=f"{given_name}.*did you mean '{meant}'"):
        changed(**{given_name: 1})


def test_an_unknown_table_and_a_setting_in_the_wrong_one_are_refused():
    with pytest.raises(SettingError, match=r"\[learn\].*did you mean 'learning'"):
        Settings.from_tables({"learn": {}})
    with pytest.raises(SettingError, match=r"'gamma' belongs into table \[learning\]"):
        Settings.from_tables({"replay": {"gamma": 0.9}})
    with pytest.raises(SettingError, match=r"\[learning\] must be a table"):
        Settings.from_tables({"learning": 3})


def test_setting_names_are_unique_over_all_groups():
    groups = [getattr(Settings(), group.name) for group in dataclasses.fields(Settings)]
    names = [spec.name for group in groups for spec in dataclasses.fields(group)]
    assert list(setting_names()) == names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"batch_size": 65, "replay_capacity": 64},
            r"batch_size \(65\) must be at most replay_capacity \(64\).*lower the one or raise",
        ),
        ({"num_envs": 65, "replay_capacity": 64}, "65.*replay_capacity 64"),
        ({"num_envs": 2, "evaluation_on": "training"}, "set num_envs to 1"),
        ({"backend": "envpool", "evaluation_on": "training"}, "backend gymnasium"),
        (
            {"until_solved": True, "final_evaluation_episodes": None},
            "until_solved needs the solved check.*leave until_solved out",
        ),
        (
            {"num_envs": 10, "vector_steps_per_round": 5, "n_step": 3, "replay_capacity": 69},
            "70.*replay_capacity 69",
        ),
        (
            {"num_envs": 16, "n_step": 3, "learning_starts_env_steps": 47},
            "learning_starts_env_steps.*48.*got 47",
        ),
    ],
)
def test_settings_that_cannot_go_together_are_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        changed(**changes)


def test_settings_that_just_go_together_are_accepted():
    changed(batch_size=64, replay_capacity=64)
    changed(num_envs=10, vector_steps_per_round=5, n_step=3, replay_capacity=70)
    changed(num_envs=16, n_step=3, learning_starts_env_steps=48)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"epsilon_decay_env_steps": 1_000, "learning_starts_env_steps": 1_000},
            "epsilon_decay_env_steps (1,000) ends before learning starts",
        ),
        ({"total_env_steps": 500}, "nothing will be learned"),
        (
            {"replay_capacity": 999},
            "replay_capacity (999) is below learning_starts_env_steps (1,000)",
        ),
        (
            {"replay_sampling": "prioritised", "priority_beta_env_steps": 200_000},
            "priority_beta_env_steps (200,000) lies beyond total_env_steps (100,000)",
        ),
    ],
)
def test_settings_that_are_rarely_meant_give_a_warning(changes, words):
    (warning,) = changed(**changes).warnings()
    assert words in warning


def test_the_defaults_give_no_warning():
    assert Settings().warnings() == []
    assert changed(epsilon_decay_env_steps=1_001).warnings() == []


def test_a_setting_that_is_idle_is_not_warned_of():
    late = {"learning_starts_env_steps": 20_000}
    assert "epsilon_decay_env_steps (10,000) ends" in changed(**late).warnings()[0]
    assert changed(**late, noisy=True).warnings() == []


@pytest.mark.parametrize("num_envs", [1, 2, 16])
def test_the_number_of_environments_changes_no_other_setting(num_envs):
    before, after = Settings().to_tables(), changed(num_envs=num_envs).to_tables()
    assert after.pop("environment") == {**before.pop("environment"), "num_envs": num_envs}
    assert after == before


@pytest.mark.parametrize(("num_envs", "steps"), [(1, 1), (4, 1), (4, 8)])
def test_a_round_is_the_product_of_environments_and_vector_steps(num_envs, steps):
    assert changed(num_envs=num_envs, vector_steps_per_round=steps).round_ticks == (
        num_envs * steps
    )


def test_resolved_settings_name_the_durations_that_follow_from_the_budget():
    both = {"learning_rate_end": 1e-5, "replay_sampling": "prioritised"}
    resolved = changed(total_env_steps=77, **both).resolved()
    assert resolved.learning.learning_rate_decay_env_steps == 77
    assert resolved.replay.priority_beta_env_steps == 77
    chosen = changed(learning_rate_decay_env_steps=5, priority_beta_env_steps=6, **both)
    assert chosen.resolved() == chosen


def test_a_duration_that_is_idle_is_not_resolved():
    assert changed(total_env_steps=77).unresolved() == []
    assert changed(total_env_steps=77).resolved() == changed(total_env_steps=77)
    assert changed(learning_rate_end=1e-5).unresolved() == ["learning_rate_decay_env_steps"]
    resolved = changed(replay_sampling="prioritised").resolved()
    assert resolved.learning.learning_rate_decay_env_steps is None
    assert resolved.replay.priority_beta_env_steps == 100_000


def test_settings_cannot_be_altered_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().learning.gamma = 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"munchausen": True, "double": True}, "no best one for double to pick"),
        ({"munchausen": True, "distribution": "c51"}, "which c51's fixed returns cannot take"),
        ({"distribution": "c51", "value_min": 3, "value_max": 3}, r"value_min \(3\) must be below"),
    ],
)
def test_choices_that_contradict_each_other_are_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        changed(**changes)


def test_c51_s_fixed_returns_need_an_order_only_where_there_are_any():
    changed(distribution="c51", value_min=-3, value_max=-2.5)
    changed(distribution="iqn", hidden_widths=[])


FREE = {"asynchronous_actors": 2, "num_envs": 4, "vector_steps_per_round": 5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"num_envs": 5},
            r"num_envs \(5\) must be a multiple of asynchronous_actors \(2\).* to 4$",
        ),
        ({"n_step": 6}, r"n_step \(6\) must be at most vector_steps_per_round \(5\)"),
        ({"noisy": True}, "explore with an ε of their own .* leave noisy out"),
        ({"normalize_observations": True}, "leave normalize_observations out"),
        ({"normalize_rewards": True}, "leave normalize_rewards out"),
        ({"restart_failed_envs": 1}, "leave restart_failed_envs at 0"),
        ({"frame_stack": 2}, "set frame_stack to 1"),
        ({"epsilon_end": 0.1}, r"epsilon_end \(0.1\) changes nothing because asynchronous_actors"),
        ({"overlap": False}, r"overlap \(false\) changes nothing because asynchronous_actors is 2"),
    ],
)
def test_what_actors_that_run_freely_cannot_have_is_refused(changes, words):
    with pytest.raises(SettingError, match=words):
        Settings().with_changes(**(FREE | changes))


def test_a_round_of_actors_that_run_freely_is_a_chunk_of_one_of_them():
    found = Settings().with_changes(**FREE)
    assert (found.round_envs, found.round_ticks) == (2, 10)
    without = found.with_changes(asynchronous_actors=None)
    assert (without.round_envs, without.round_ticks) == (4, 20)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"noisy": True}, "pqn explores by ε and has no noise for updates: leave noisy out, or .*"),
        ({"asynchronous_actors": 2, "num_envs": 2}, "pqn acts, .*: leave asynchronous_actors out"),
        ({"overlap": False}, r"overlap \(false\) changes nothing because algorithm is pqn: .*"),
        ({"target_period_updates": 9}, "target_period_updates .*because algorithm is pqn: .*"),
    ],
)
def test_what_pqn_does_without_is_refused_with_it(changes, sentence):
    with pytest.raises(SettingError, match=f"^{sentence}"):
        Settings().with_changes(algorithm="pqn", **changes)


def test_updates_of_pqn_are_due_at_the_end_of_each_round():
    made = {"num_envs": 4, "vector_steps_per_round": 6, "epochs_per_round": 3, "minibatches": 2}
    settings = Settings().with_changes(algorithm="pqn", **made)
    assert [settings.updates_due(steps) for steps in (0, 23, 24, 47, 48)] == [0, 0, 6, 6, 12]
    assert (settings.update_batch_size, settings.first_update_ticks) == (12, 24)
