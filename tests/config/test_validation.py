"""Types and ranges of single settings."""

import dataclasses

import numpy as np
import pytest

from frankrl.config import Settings
from frankrl.core.errors import SettingError

# Each setting with values just outside its range, and the words of the range.
OUT_OF_RANGE = [
    ("num_envs", [0, -1], "at least 1"),
    ("worker_processes", [-1], "at least 0"),
    ("worker_processes", [257], "at most 256"),
    ("restart_failed_envs", [-1], "at least 0"),
    ("restart_failed_envs", [1_001], "at most 1000"),
    ("frame_stack", [0], "at least 1"),
    ("frame_stack", [65], "at most 64"),
    ("resize", [7], "at least 8"),
    ("resize", [513], "at most 512"),
    ("frame_skip", [0], "at least 1"),
    ("frame_skip", [65], "at most 64"),
    ("sticky_actions", [-0.01], "at least 0"),
    ("sticky_actions", [1.01], "at most 1"),
    ("noop_max", [-1], "at least 0"),
    ("noop_max", [1_001], "at most 1000"),
    ("game_time_limit", [0], "at least 1"),
    ("hidden_widths", [[0], [64, -3]], "at least 1"),
    ("memory_units", [0], "at least 1"),
    ("sequence_steps", [0], "at least 1"),
    ("sequence_steps", [4_097], "at most 4096"),
    ("burn_in_steps", [-1], "at least 0"),
    ("burn_in_steps", [4_096], "at most 4095"),
    ("sequence_priority_share", [-0.1], "at least 0"),
    ("sequence_priority_share", [1.1], "at most 1"),
    ("epsilon_start", [-0.01], "at least 0"),
    ("epsilon_start", [1.01], "at most 1"),
    ("epsilon_end", [-0.01], "at least 0"),
    ("epsilon_end", [1.5], "at most 1"),
    ("epsilon_decay_env_steps", [-1], "at least 0"),
    ("asynchronous_actors", [0], "at least 1"),
    ("asynchronous_actors", [1_025], "at most 1024"),
    ("ladder_epsilon", [-0.1], "at least 0"),
    ("ladder_epsilon", [1.1], "at most 1"),
    ("ladder_exponent", [-1], "at least 0"),
    ("ladder_exponent", [1_001], "at most 1000"),
    ("replay_capacity", [0], "at least 1"),
    ("replay_capacity", [2**30], "at most 1073741823"),
    ("batch_size", [0], "at least 1"),
    ("priority_exponent", [-0.1], "at least 0"),
    ("priority_exponent", [1.1], "at most 1"),
    ("priority_beta", [-0.1], "at least 0"),
    ("priority_beta", [1.1], "at most 1"),
    ("priority_beta_env_steps", [0], "at least 1"),
    ("priority_epsilon", [0, 1e-13], "at least 1e-12"),
    ("priority_epsilon", [1e39], "at most 1000000.0"),
    ("priority_beta_updates", [0], "at least 1"),
    ("demonstration_share", [-0.1], "at least 0"),
    ("demonstration_share", [1.1], "at most 1"),
    ("n_step", [0], "at least 1"),
    ("n_step", [256], "at most 255"),
    ("gamma", [-0.1], "at least 0"),
    ("gamma", [1.1], "at most 1"),
    ("huber_delta", [0, -1], "greater than 0"),
    ("learning_rate_decay_updates", [0], "at least 1"),
    ("total_updates", [0], "at least 1"),
    ("total_updates", [4_000_000_001], "at most 4000000000"),
    ("updates_per_round", [0], "at least 1"),
    ("updates_per_round", [10_001], "at most 10000"),
    ("evaluate_every_updates", [0], "at least 1"),
    ("final_estimate_updates", [0], "at least 1"),
    ("checkpoint_every_updates", [0], "at least 1"),
    ("log_every_updates", [0], "at least 1"),
    ("target_period_updates", [0], "at least 1"),
    ("target_period_updates", [2**31], "at most 2147483647"),
    ("num_atoms", [1], "at least 2"),
    ("num_quantiles", [0], "at least 1"),
    ("iqn_cosines", [0], "at least 1"),
    ("iqn_acting_fractions", [0], "at least 1"),
    ("iqn_samples", [0], "at least 1"),
    ("cql_weight", [-0.1], "at least 0"),
    ("munchausen_scale", [-0.1], "at least 0"),
    ("munchausen_scale", [1.1], "at most 1"),
    ("munchausen_temperature", [0], "greater than 0"),
    ("munchausen_floor", [0.5], "at most 0"),
    ("value_min", [float("inf")], "finite"),
    ("value_max", [float("nan")], "finite"),
    ("tau", [0, -0.5], "greater than 0"),
    ("tau", [1.5], "at most 1"),
    ("polyak_window_updates", [0], "at least 1"),
    ("polyak_window_updates", [2**31], "at most 2147483647"),
    ("learning_rate", [0, -1e-3], "greater than 0"),
    ("learning_rate_end", [0, -1e-3], "greater than 0"),
    ("learning_rate_decay_env_steps", [0], "at least 1"),
    ("trace_decay", [-0.1], "at least 0"),
    ("trace_decay", [1.1], "at most 1"),
    ("epochs_per_round", [0], "at least 1"),
    ("epochs_per_round", [1_001], "at most 1000"),
    ("minibatches", [0], "at least 1"),
    ("adam_epsilon", [0], "greater than 0"),
    ("normalize_observations_clip", [0], "greater than 0"),
    ("normalize_rewards_clip", [0], "greater than 0"),
    ("normalize_epsilon", [0], "greater than 0"),
    ("max_gradient_norm", [0, -10], "greater than 0"),
    ("total_env_steps", [0], "at least 1"),
    ("learning_starts_env_steps", [0], "at least 1"),
    ("replay_ratio", [0, -1], "greater than 0"),
    ("vector_steps_per_round", [0], "at least 1"),
    ("evaluate_every_env_steps", [0], "at least 1"),
    ("evaluation_starts_env_steps", [-1], "at least 0"),
    ("evaluation_episodes", [0], "at least 1"),
    ("final_evaluation_episodes", [0], "at least 1"),
    ("evaluation_max_episode_steps", [0], "at least 1"),
    ("evaluation_envs", [0], "at least 1"),
    ("evaluation_envs", [26], "at most 25"),
    ("impala_width", [0], "at least 1"),
    ("checkpoint_every_env_steps", [0], "at least 1"),
    ("keep_checkpoints", [0], "at least 1"),
    ("log_every_env_steps", [0], "at least 1"),
]
NUMBERS = [
    spec.name
    for group in dataclasses.fields(Settings)
    for spec in dataclasses.fields(getattr(Settings(), group.name))
    if "at_least" in spec.metadata
]


def changed(**changes):
    return Settings().with_changes(**changes)


@pytest.mark.parametrize(("name", "values", "words"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_by_name_and_range(name, values, words):
    for value in values:
        with pytest.raises(SettingError, match=f"^{name} must be .*{words}.*got"):
            changed(**{name: value})


def test_every_numeric_setting_has_a_range_and_is_in_the_table_above():
    assert {name for name, _, _ in OUT_OF_RANGE} == set(NUMBERS)


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - {"hidden_widths"}))
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "12", True, [], {}])
def test_what_is_not_a_usable_number_is_refused_by_name(name, value):
    with pytest.raises(SettingError, match=f"^{name} "):
        changed(**{name: value})


@pytest.mark.parametrize("name", ["gamma", "learning_rate", "total_env_steps"])
def test_a_number_beyond_all_floats_is_refused_like_any_other(name):
    with pytest.raises(SettingError, match=f"^{name} "):
        changed(**{name: 10**400})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_envs", 1.5, "a whole number"),
        ("num_envs", None, "a whole number"),
        ("gamma", None, "a number"),
        ("gamma", "none", "a number"),
        ("double", 1, "true or false"),
        ("double", "true", "true or false"),
        ("overlap", None, "true or false"),
        ("hidden_widths", 64, "a list of whole numbers"),
        ("hidden_widths", [64.5], "a list of whole numbers"),
        ("hidden_widths", ["64"], "a list of whole numbers"),
        ("hidden_widths", [True], "a list of whole numbers"),
        ("hidden_widths", np.array(64), "a list of whole numbers.*got 64"),
        ("hidden_widths", np.array([[32, 32]]), "a list of whole numbers"),
        ("hidden_widths", np.array([32.5]), "a list of whole numbers"),
        ("hidden_widths", np.array(["32"]), "a list of whole numbers"),
        ("hidden_widths", np.array([True]), "a list of whole numbers"),
        ("hidden_widths", np.array([np.nan]), "a list of whole numbers"),
        ("hidden_widths", {32}, "a list of whole numbers"),
        ("hidden_widths", range(2), "a list of whole numbers"),
        ("num_envs", np.array([1, 2]), "a whole number"),
        ("gamma", np.array([0.5, 0.9]), "a number"),
        ("max_gradient_norm", np.array(["none"]), "a number"),
        ("double", np.array([True, False]), "true or false"),
        ("loss", np.array(["mse", "huber"]), "mse, huber"),
        ("loss", {}, "mse, huber"),
        ("env_kwargs", np.zeros(2), "a table"),
        ("env_kwargs", {"a": np.zeros(2)}, "a table"),
        ("env_kwargs", [], "a table"),
        ("env_kwargs", {1: 2}, "a table"),
        ("loss", "msee", "mse, huber.*did you mean 'mse'"),
        ("activation", "Tanh", "did you mean 'tanh'"),
        ("activation", None, "relu, tanh, elu, silu"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_is_wanted_in_one_line(name, value, words):
    with pytest.raises(SettingError, match=f"^{name} must be .*{words}") as refused:
        changed(**{name: value})
    assert len(str(refused.value).splitlines()) == 1


def test_a_number_too_long_to_write_is_refused_by_its_type():
    with pytest.raises(SettingError, match="must be true or false, got a value of type int"):
        changed(double=10**5_000)


def test_a_long_value_is_shortened_where_it_is_refused():
    with pytest.raises(SettingError, match=r"got \[0\.5, 0\.5, .* …$") as refused:
        changed(hidden_widths=np.full(10**5, 0.5))
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("group", ["network", "environment"])
def test_a_group_of_another_type_is_refused(group):
    with pytest.raises(SettingError, match=f"^{group} must be {group.title()}Settings"):
        Settings(**{group: {"hidden_widths": [8]}})


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("total_env_steps", 1e6, 1_000_000),
        ("gamma", 1, 1.0),
        ("hidden_widths", [32.0, 16], (32, 16)),
        ("hidden_widths", np.array([32, 16]), (32, 16)),
        ("hidden_widths", np.array([32.0, 16.0], np.float32), (32, 16)),
        ("hidden_widths", [np.int32(32), np.float64(16)], (32, 16)),
        ("hidden_widths", np.array([], int), ()),
        ("num_envs", np.int64(3), 3),
        ("gamma", np.float32(0.5), 0.5),
        ("double", np.True_, True),
        ("activation", np.str_("tanh"), "tanh"),
        ("hidden_widths", [], ()),
        ("max_gradient_norm", "none", None),
        ("learning_rate_end", None, None),
    ],
)
def test_whole_floats_lists_and_none_stand_for_what_they_mean(name, value, stored):
    found = changed(**{name: value}).values()[name]
    assert found == stored
    assert type(found) is type(stored)
    if isinstance(found, tuple):
        assert {type(width) for width in found} <= {int}


@pytest.mark.parametrize("ratio", [1.08, 4])
def test_more_updates_than_32_bits_count_are_refused(ratio):
    whole = {"total_env_steps": 4_000_000_000}
    Settings().with_changes(**whole, replay_ratio=1.07)
    with pytest.raises(SettingError, match="at most 4,294,967,295 updates"):
        Settings().with_changes(**whole, replay_ratio=ratio)
