"""Settings in a run's `config.toml`."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis_profile import examples

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.runs import RunDescription


def changed(**changes):
    return Settings().with_changes(**changes)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
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
        "replay_capacity": st.integers(1_000, 2**30 - 1),
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
        "replay_ratio": st.floats(0, 1_000, exclude_min=True),
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
    env_id=TEXT.filter(str.isprintable),
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
