"""Settings that belong to a choice: idle without it, and refused or dropped then.

The oracle is the table in `effective.py`.
"""

import dataclasses
import itertools
import re

import pytest
from config.effective import ALWAYS, CHOICES, EFFECTIVE, OTHER

from frankrl.config import (
    LearningSettings,
    NetworkSettings,
    Settings,
    TrainingSettings,
    condition_of,
    meaning_of,
    setting_names,
)
from frankrl.config.groups import GROUPS
from frankrl.config.idle import idle_settings
from frankrl.config.names import DECLARED
from frankrl.config.presets import load_preset, preset_names
from frankrl.core.errors import SettingError

MAX_CHOICES = 3
"""How many choices are made at once: no setting depends on more of them."""


def combinations():
    """Each way to make a few choices, none of which is idle itself."""
    usual = {choice: values[0] for choice, values in CHOICES.items()}
    for count in range(MAX_CHOICES + 1):
        for names in itertools.combinations(CHOICES, count):
            for values in itertools.product(*(CHOICES[name][1:] for name in names)):
                chosen = usual | dict(zip(names, values, strict=True))
                if all(EFFECTIVE[name](chosen) for name in names if name in EFFECTIVE):
                    yield chosen


def ways_to_idle(name):
    """No change, if a setting is idle by default; else each change of one setting that idles it."""
    usual = {choice: values[0] for choice, values in CHOICES.items()}
    if not EFFECTIVE[name](usual):
        return [{}]
    alone = [{choice: value} for choice, values in CHOICES.items() for value in values[1:]]
    return [way for way in alone if name not in way and not EFFECTIVE[name](usual | way)]


def changed(**changes):
    return Settings().with_changes(**changes)


A_VALUE = {
    "dataset": "data/small-v0",
    "demonstration_share": 0.5,
    "asynchronous_actors": 1,
    "frame_skip": 2,
    "hidden_widths": [8],
    "learning_rate_end": 1e-5,
    "evaluate_every_env_steps": 700,
    "evaluate_every_updates": 700,
}
IDLE_WAYS = [(name, way) for name in EFFECTIVE for way in ways_to_idle(name)]


def test_every_setting_is_in_one_of_the_tables():
    assert EFFECTIVE.keys() | ALWAYS == set(setting_names())
    assert not EFFECTIVE.keys() & ALWAYS
    assert EFFECTIVE.keys() == OTHER.keys()


def test_every_setting_that_something_belongs_to_is_a_choice_of_the_table():
    belonged_to = {
        part.setting
        for declared in DECLARED.values()
        for choice in declared.belongs_to
        for part in choice.parts()
    }
    assert belonged_to == set(CHOICES)


def test_each_setting_is_idle_under_the_choices_that_the_table_says_and_no_others():
    usual, count = Settings().values(), 0
    for chosen in combinations():
        expected = [n for n in setting_names() if n in EFFECTIVE and not EFFECTIVE[n](chosen)]
        assert idle_settings(usual | chosen) == expected, chosen
        count += 1
    assert count > 500


def test_a_choice_is_declared_before_what_belongs_to_it():
    """So that of several idle settings the outermost is the one that is told of."""
    names = list(setting_names())
    for name, declared in DECLARED.items():
        for choice in declared.belongs_to:
            assert names.index(choice.setting) < names.index(name)


def test_the_groups_are_those_of_the_settings():
    assert [(spec.name, spec.type) for spec in dataclasses.fields(Settings)] == list(GROUPS.items())


@pytest.mark.parametrize(("name", "way"), IDLE_WAYS)
def test_an_idle_setting_is_refused_by_name_and_what_is_advised_gives_it_its_effect(name, way):
    words = rf"^{name} \(.*\) changes nothing because .*, or leave {name} out$"
    with pytest.raises(SettingError, match=words) as refused:
        changed(**way, **{name: OTHER[name]})
    twin = re.search(r"give (\w+) in its place", str(refused.value))
    if twin is not None:
        assert twin[1] not in idle_settings(changed(**way).values())
        return
    mended = way | {name: OTHER[name]}
    first_way, *_ = str(refused.value).split(" or ")
    for choice, value in re.findall(r"set (\w+) to (\w+)", first_way):
        mended[choice] = {"true": True, "false": False}.get(value, value)
    for choice in re.findall(r"give (\w+) another value", first_way):
        mended[choice] = A_VALUE[choice]
    assert mended != way | {name: OTHER[name]}
    found = changed(**mended).values()[name]
    assert (list(found) if isinstance(found, tuple) else found) == OTHER[name]


@pytest.mark.parametrize(("name", "way"), IDLE_WAYS)
def test_an_idle_setting_that_is_named_is_refused_with_its_default_too(name, way):
    default = Settings().values()[name]
    with pytest.raises(SettingError, match=rf"^{name} \(.*changes nothing"):
        changed(**way, **{name: default})
    group = DECLARED[name].group
    table = {name: "none" if default is None else default}
    with pytest.raises(SettingError, match=rf"^{name} \(.*changes nothing"):
        Settings.from_tables({group: table}, changed(**way))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"num_atoms": 21},
            "num_atoms (21) changes nothing because distribution is mean: set distribution to c51, "
            "or leave num_atoms out",
        ),
        (
            {"q_function": "table", "num_atoms": 21},
            "num_atoms (21) changes nothing because q_function is table: set q_function to "
            "network, or leave num_atoms out",
        ),
        (
            {"q_function": "table", "distribution": "c51", "num_atoms": 21},
            "distribution (c51) changes nothing because q_function is table: set q_function to "
            "network, or leave distribution out",
        ),
        (
            {"huber_delta": 0.5},
            "huber_delta (0.5) changes nothing because loss is mse and distribution is mean: set "
            "loss to huber or set distribution to qr or iqn, or leave huber_delta out",
        ),
        (
            {"huber_delta": 0.5, "distribution": "c51"},
            "huber_delta (0.5) changes nothing because distribution is c51: set distribution to qr "
            "or iqn, or leave huber_delta out",
        ),
        (
            {"noisy": True, "epsilon_end": 0.1},
            "epsilon_end (0.1) changes nothing because noisy is true: set noisy to false, or leave "
            "epsilon_end out",
        ),
        (
            {"learning_rate_decay_env_steps": 50_000},
            "learning_rate_decay_env_steps (50,000) changes nothing because learning_rate_end is "
            "none: give learning_rate_end another value, or leave learning_rate_decay_env_steps "
            "out",
        ),
        (
            {"hidden_widths": [], "layer_norm": True},
            "layer_norm (true) changes nothing because hidden_widths is []: give hidden_widths "
            "another value, or leave layer_norm out",
        ),
    ],
)
def test_the_sentence_says_what_was_given_why_it_is_idle_and_what_to_do(changes, sentence):
    with pytest.raises(SettingError) as refused:
        changed(**changes)
    assert str(refused.value) == sentence


def test_a_record_of_settings_holds_no_idle_value():
    with pytest.raises(SettingError, match=r"num_atoms \(21\) changes nothing"):
        Settings(network=NetworkSettings(num_atoms=21))
    with pytest.raises(SettingError, match=r"iqn_samples \(4\) changes nothing"):
        Settings(learning=LearningSettings(iqn_samples=4))
    Settings(network=NetworkSettings(distribution="c51", num_atoms=21))


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_on_top_of_a_preset_drops_what_the_preset_says_of_the_old_one(preset, choice):
    before, usual = load_preset(preset), Settings().values()
    for value in CHOICES[choice]:
        contradicts = choice == "munchausen" or (before.learning.munchausen and value == "c51")
        contradicts |= value == "training" and before.environment.num_envs > 1
        short = before.replay.n_step > before.training.vector_steps_per_round
        is_free = choice == "asynchronous_actors" and value is not None
        contradicts |= is_free and (short or before.exploration.noisy)
        refused_by_pqn = {
            "distribution": ("c51", "qr", "iqn"),
            "noisy": (True,),
            "memory": ("gru",),
        }
        is_pqn = value == "pqn" or (before.learning.algorithm == "pqn" and value != "dqn")
        contradicts |= is_pqn and (is_free or value in refused_by_pqn.get(choice, ()))
        contradicts |= is_pqn and (
            before.exploration.noisy or before.network.distribution != "mean"
        )
        contradicts |= choice == "dataset" and (is_pqn or before.replay.replay_sampling == "newest")
        held = (40 - 10 + before.replay.n_step - 1) * before.environment.num_envs
        contradicts |= value == "gru" and before.training.learning_starts_env_steps < held
        if before.network.memory == "gru":
            contradicts |= is_pqn or is_free or value in ("newest", "table")
        scaled = before.network.scale_observation or before.network.symmetry is True
        contradicts |= choice == "normalize_observations" and scaled
        is_idle = choice in EFFECTIVE and not EFFECTIVE[choice](before.values() | {choice: value})
        if contradicts or is_idle:
            continue
        after = before.with_changes(**{choice: value}).values()
        for name, was in before.values().items():
            if name == choice:
                continue
            is_effective = name in ALWAYS or EFFECTIVE[name](after)
            assert after[name] == (was if is_effective else usual[name])


def test_rainbow_that_learns_the_mean_forgets_the_fixed_returns_and_keeps_all_else():
    rainbow = load_preset("rainbow")
    assert rainbow.network.value_max == 300
    mean = rainbow.with_changes(distribution="mean")
    assert mean == load_preset("default").with_changes(
        dueling=True, noisy=True, replay_sampling="prioritised", n_step=3
    )
    again = mean.with_changes(distribution="c51", value_min=-5, value_max=5)
    assert again.network == dataclasses.replace(rainbow.network, value_min=-5, value_max=5)


def test_a_setting_that_belongs_to_the_new_choice_too_is_kept():
    lander = load_preset("LunarLander-v3").with_changes(distribution="qr")
    assert (lander.learning.loss, lander.learning.huber_delta) == ("mse", 0.8)


@pytest.mark.parametrize("preset", preset_names())
def test_the_tables_of_settings_hold_no_idle_one_and_give_the_same_settings(preset):
    settings = load_preset(preset).resolved()
    tables = settings.to_tables()
    values = settings.values()
    written = {name for table in tables.values() for name in table}
    assert written == {n for n in values if n in ALWAYS or EFFECTIVE[n](values)}
    assert Settings.from_tables(tables) == settings


def test_a_file_that_names_an_idle_setting_is_refused(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('base = "rainbow"\n[network]\ndistribution = "mean"\nvalue_min = -300.0\n')
    with pytest.raises(SettingError, match=r"mine.toml: value_min \(-300\) changes nothing"):
        load_preset(str(file))
    file.write_text('base = "rainbow"\n[network]\ndistribution = "mean"\n')
    assert load_preset(str(file)).network.value_min == Settings().network.value_min


def test_the_meaning_of_a_setting_is_the_text_under_it_with_the_choice_that_it_belongs_to():
    assert meaning_of("num_atoms") == "Number of fixed returns. [atoms]"
    assert condition_of("num_atoms") == "with distribution c51"
    assert condition_of("huber_delta") == "with loss huber, or with distribution qr or iqn"
    assert condition_of("epsilon_end") == (
        "while acting and without noisy and without asynchronous_actors"
    )
    assert condition_of("total_updates") == "without acting"
    assert condition_of("replay_sampling") == "with algorithm dqn"
    assert condition_of("munchausen_floor") == "with munchausen"
    assert condition_of("learning_rate_decay_updates") == (
        "with learning_rate_end and without acting"
    )
    assert all(meaning_of(name) for name in setting_names())
    assert {name for name in setting_names() if condition_of(name)} == set(EFFECTIVE)
    with pytest.raises(SettingError, match="unknown setting 'num_atom'"):
        condition_of("num_atom")


def test_actions_are_computed_where_the_network_asks_for_unless_the_user_says():
    assert TrainingSettings().acting == "auto"
    assert changed(acting="device").training.acting == "device"
    with pytest.raises(SettingError, match="acting must be one of auto, host, device"):
        changed(acting="gpu")
