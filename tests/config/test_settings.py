import dataclasses
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.config import Settings, group_of, setting_names
from frankrl.core.errors import SettingError
from frankrl.runs import RunDescription

# Each setting with values just outside its range, and the words of the range.
OUT_OF_RANGE = [
    ("num_envs", [0, -1], "at least 1"),
    ("worker_processes", [-1], "at least 0"),
    ("worker_processes", [257], "at most 256"),
    ("hidden_widths", [[0], [64, -3]], "at least 1"),
    ("epsilon_start", [-0.01], "at least 0"),
    ("epsilon_start", [1.01], "at most 1"),
    ("epsilon_end", [-0.01], "at least 0"),
    ("epsilon_end", [1.5], "at most 1"),
    ("epsilon_decay_env_steps", [-1], "at least 0"),
    ("replay_capacity", [0], "at least 1"),
    ("batch_size", [0], "at least 1"),
    ("priority_exponent", [-0.1], "at least 0"),
    ("priority_exponent", [1.1], "at most 1"),
    ("priority_beta", [-0.1], "at least 0"),
    ("priority_beta", [1.1], "at most 1"),
    ("priority_beta_env_steps", [0], "at least 1"),
    ("priority_epsilon", [0, 1e-13], "at least 1e-12"),
    ("priority_epsilon", [1e39], "at most 1000000.0"),
    ("n_step", [0], "at least 1"),
    ("n_step", [256], "at most 255"),
    ("gamma", [-0.1], "at least 0"),
    ("gamma", [1.1], "at most 1"),
    ("huber_delta", [0, -1], "greater than 0"),
    ("target_period_updates", [0], "at least 1"),
    ("target_period_updates", [2**31], "at most 2147483647"),
    ("num_atoms", [1], "at least 2"),
    ("num_quantiles", [0], "at least 1"),
    ("iqn_cosines", [0], "at least 1"),
    ("iqn_acting_fractions", [0], "at least 1"),
    ("iqn_samples", [0], "at least 1"),
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
    ("adam_epsilon", [0], "greater than 0"),
    ("max_gradient_norm", [0, -10], "greater than 0"),
    ("total_env_steps", [0], "at least 1"),
    ("learning_starts_env_steps", [0], "at least 1"),
    ("replay_ratio", [0, -1], "greater than 0"),
    ("vector_steps_per_round", [0], "at least 1"),
    ("evaluate_every_env_steps", [0], "at least 1"),
    ("evaluation_starts_env_steps", [-1], "at least 0"),
    ("evaluation_episodes", [0], "at least 1"),
    ("final_evaluation_episodes", [0], "at least 1"),
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


def value_of(settings, name):
    return getattr(getattr(settings, group_of(name)), name)


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
    found = value_of(changed(**{name: value}), name)
    assert found == stored
    assert type(found) is type(stored)
    if isinstance(found, tuple):
        assert {type(width) for width in found} <= {int}


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
    assert changed(num_envs=num_envs, vector_steps_per_round=steps).round_env_steps == (
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


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
POSITIVE = st.floats(0, exclude_min=True, allow_infinity=False)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "num_envs": st.integers(1, 100),
        "env_kwargs": st.dictionaries(TEXT, VALUES, max_size=3),
        "hidden_widths": st.lists(st.integers(1, 10**6), max_size=4),
        "activation": st.sampled_from(["relu", "tanh", "elu", "silu"]),
        "layer_norm": st.booleans(),
        "dueling": st.booleans(),
        "epsilon_start": st.floats(0, 1),
        "epsilon_end": st.floats(0, 1),
        "epsilon_decay_env_steps": st.integers(0, 10**12),
        "replay_capacity": st.integers(1_000, 10**12),
        "batch_size": st.integers(1, 1_000),
        "n_step": st.integers(1, 10),
        "gamma": st.floats(0, 1),
        "double": st.booleans(),
        "loss": st.sampled_from(["mse", "huber"]),
        "huber_delta": POSITIVE,
        "learning_rate": POSITIVE,
        "learning_rate_end": st.none() | POSITIVE,
        "learning_rate_decay_env_steps": st.none() | st.integers(1, 10**12),
        "max_gradient_norm": st.none() | POSITIVE,
        "replay_ratio": POSITIVE,
        "overlap": st.booleans(),
        "until_solved": st.booleans(),
    },
)


def without_idle(changes):
    """The changes less those that change nothing beside the others."""
    idle = set()
    if changes.get("loss") != "huber":
        idle |= {"huber_delta"}
    if changes.get("learning_rate_end") is None:
        idle |= {"learning_rate_decay_env_steps"}
    if changes.get("hidden_widths") == []:
        idle |= {"activation", "layer_norm"}
    return {name: value for name, value in changes.items() if name not in idle}


@examples(150)
@given(
    env_id=TEXT,
    seed=st.integers(0, 2**63 - 1),
    changes=SETTINGS,
    versions=st.dictionaries(st.sampled_from(["jax", "python"]), TEXT),
    machine=st.dictionaries(st.sampled_from(["cpu", "visible_cpus"]), TEXT | st.integers(0, 99)),
)
def test_a_run_description_survives_its_toml_file(env_id, seed, changes, versions, machine):
    settings = changed(**without_idle(changes)).resolved()
    description = RunDescription(env_id, "default", seed, settings, versions, machine)
    text = description.to_toml()
    assert RunDescription.from_toml(text) == description
    assert tomllib.loads(text)["run"]["env_id"] == env_id


@pytest.mark.parametrize(
    "kwargs",
    [
        {"name": 'say "hi"\\ \t\r\n'},
        {"a": {"b": {"c": [1, {"d": 2.5}]}, "e.f": {}}},
        {"Größe": "ε", "🎮": "🎮"},
        {"tab\tkey": 1, 'quote"key': 2, "": 3, "\x7f": "\x7f\x00"},
        {"big": 1e300, "small": -5e-324, "whole": 1.0, "none": "none"},
    ],
)
def test_keyword_arguments_of_the_environment_survive_the_toml_file(kwargs):
    description = RunDescription("Any-v0", "default", 0, changed(env_kwargs=kwargs))
    assert RunDescription.from_toml(description.to_toml()) == description


@pytest.mark.parametrize("kwargs", [{"desc": None}, {"a": [None]}, {"a": {1: 2}}])
def test_keyword_arguments_that_toml_cannot_hold_survive_or_are_refused(kwargs):
    try:
        description = RunDescription("Any-v0", "default", 0, changed(env_kwargs=kwargs))
        text = description.to_toml()
    except SettingError:
        return
    assert RunDescription.from_toml(text).settings.environment.env_kwargs == kwargs


@pytest.mark.parametrize(
    "text",
    ["", "[run", "run = 3", "[run]\nenv_id = 3\nseed = 1", '[run]\nenv_id = "A"\nseed = true'],
)
def test_a_damaged_description_is_refused(text):
    with pytest.raises(SettingError):
        RunDescription.from_toml(text)


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
