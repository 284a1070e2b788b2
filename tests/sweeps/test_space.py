"""What may be searched, and what is answered to everything else."""

import pytest

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.sweeps.space import Choices, Range, check_fits, load_space, space_of

GOOD = """
[learning_rate]
low = 1e-4
high = 1e-2
log = true

[batch_size]
low = 32
high = 128
step = 32

[hidden_widths]
choices = [[64, 64], [256]]

[max_gradient_norm]
choices = [10, "none"]

[double]
choices = [true, false]
"""


def test_a_space_is_read_in_the_types_of_its_settings(tmp_path):
    (tmp_path / "space.toml").write_text(GOOD)
    space = load_space(tmp_path / "space.toml")
    assert space == {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "batch_size": Range(32, 128, step=32),
        "hidden_widths": Choices(((64, 64), (256,))),
        "max_gradient_norm": Choices((10.0, None)),
        "double": Choices((True, False)),
    }
    assert type(space["max_gradient_norm"].at(0)) is float
    assert space_of({name: axis.to_table() for name, axis in space.items()}) == space


BAD = {
    "unknown": ({"learning_rat": {"low": 1, "high": 2}}, "unknown setting 'learning_rat'; did you"),
    "foreign": ({"lr": {"low": 1, "high": 2}}, "lr is Frank's learning_rate: search that"),
    "empty": ({}, "names no settings"),
    "not a table": ({"gamma": 0.9}, r"\[gamma\] must be a table with low and high, or choices"),
    "other key": ({"gamma": {"lo": 0.9, "high": 1}}, "cannot have lo; did you mean 'low'|log"),
    "no high": ({"gamma": {"low": 0.9}}, "must have low and high, or choices"),
    "empty range": ({"gamma": {"low": 0.9, "high": 0.5}}, "low 0.9 to high 0.5, which is empty"),
    "range of setting": ({"gamma": {"low": 0.5, "high": 1.5}}, "gamma must be at most 1, got 1.5"),
    "not whole": ({"n_step": {"low": 1.5, "high": 3}}, "n_step must be a whole number, got 1.5"),
    "not finite": ({"gamma": {"low": float("nan"), "high": 1}}, "gamma must be finite"),
    "text": ({"gamma": {"low": "x", "high": 1}}, "gamma must be a number, got 'x'"),
    "none": (
        {"max_gradient_norm": {"low": "none", "high": 1}},
        "max_gradient_norm must be numbers; none is a value for choices",
    ),
    "log of zero": ({"priority_beta": {"low": 0, "high": 1, "log": True}}, "low must be above 0"),
    "log and step": (
        {"learning_rate": {"low": 0.1, "high": 1, "log": True, "step": 0.1}},
        "has log and step: give one",
    ),
    "log no bool": ({"gamma": {"low": 0.1, "high": 1, "log": 1}}, "log of gamma must be true"),
    "step of nothing": ({"gamma": {"low": 0, "high": 1, "step": 0}}, "step of gamma must be above"),
    "tiny steps": (
        {"gamma": {"low": 0.0, "high": 0.9, "step": 1e-40}},
        "more than 1,000,000 values to search: leave it out",
    ),
    "huge step": (
        {"n_step": {"low": 1, "high": 5, "step": 10**400}},
        "the step of n_step must be a whole number",
    ),
    "part of a step": ({"n_step": {"low": 1, "high": 5, "step": 0.5}}, "must be a whole number"),
    "step beside": (
        {"gamma": {"low": 0.1, "high": 1, "step": 0.4}},
        "in steps of 0.4: the last one before high is 0.9, so give that as high",
    ),
    "range of words": ({"loss": {"low": 1, "high": 2}}, "loss is no number"),
    "range of switch": ({"double": {"low": 0, "high": 1}}, "double is no number"),
    "no choices": ({"loss": {"choices": []}}, "choices of loss must be a list"),
    "choices and low": ({"gamma": {"choices": [0.9], "low": 0.1}}, "must have choices alone"),
    "wrong choice": ({"loss": {"choices": ["mse", "hubr"]}}, "did you mean 'huber'"),
    "twice": ({"gamma": {"choices": [1, 1.0]}}, "have 1.0 twice"),
    "many": ({"batch_size": {"choices": list(range(1, 1_002))}}, "1,001 choices, at most 1,000"),
    "code": ({"optimiser": {"choices": ["adam", "optax:lion"]}}, r"name code \(optax:lion\)"),
    "wrappers": ({"wrappers": {"choices": [["os:system"]]}}, r"name code \(os:system\)"),
    "table": ({"env_kwargs": {"choices": [{"a": 1}]}}, "its values are tables"),
    "tracker": ({"log": {"choices": [["wandb"]]}}, "does not change what is learned"),
    "no mapping": ([1], "a space must have a table for each setting"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_searched_is_refused_in_a_sentence(name):
    tables, message = BAD[name]
    with pytest.raises(SettingError, match=message):
        space_of(tables)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[gamma", "is not valid TOML"),
        (b"\xff\xfe", "is not valid TOML"),
        (b"", "names no settings"),
        (b"a = " + b"[" * 10_000, "is not valid TOML"),
    ],
    ids=["unclosed", "no text", "empty", "deep"],
)
def test_a_file_that_is_no_space_is_named(tmp_path, content, message):
    path = tmp_path / "space.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=message) as error:
        load_space(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_missing_or_huge_is_named(tmp_path):
    with pytest.raises(SettingError, match="there is no such file"):
        load_space(tmp_path / "none.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(SettingError, match="at most 1,048,576 can be right"):
        load_space(tmp_path / "huge.toml")


def test_a_space_of_which_no_trial_could_begin_is_refused():
    base = Settings()
    idle = space_of({"munchausen_scale": {"low": 0.1, "high": 0.9}})
    with pytest.raises(SettingError, match=r"no trial of this space could begin: munchausen_scale"):
        check_fits(idle, base, {})
    with pytest.raises(SettingError, match="gamma cannot be fixed and searched"):
        check_fits(space_of({"gamma": {"choices": [0.9]}}), base, {"gamma": 0.9})


def test_a_space_of_which_some_trials_can_begin_is_taken():
    # Most of these batches do not fit into the smallest buffers.
    space = {"batch_size": {"low": 8, "high": 5_000}, "replay_capacity": {"low": 10, "high": 6_000}}
    check_fits(space_of(space), Settings(), {})
    # More combinations than are tried.
    many = {"gamma": {"choices": [i / 300 for i in range(300)]}, "n_step": {"choices": [1, 2, 3]}}
    many["batch_size"] = {"choices": [200_000, 300_000]}
    check_fits(space_of(many), Settings(), {})


def test_the_values_of_a_range_are_counted():
    assert [Range(1, 7, step=3).at(i) for i in range(3)] == [1, 4, 7]
    assert Range(1, 7, step=3).count() == 3
    assert Range(5, 1_000_000_000).count() == 999_999_996
    tenths = Range(0.1, 0.7, step=0.1)
    assert tenths.count() == 7
    # As they are written, not as sums of floats.
    assert [tenths.at(i) for i in range(7)] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Range(0.1, 0.7).count() is None
