"""What an environment returned is named, not the line of Frank's that could not take it."""

import contextlib
import re
from fractions import Fraction

import numpy as np
import odd_envs
import pytest

from frankrl.core.errors import EnvironmentFailedError
from frankrl.environments import CheckedEnv, describe

STEP = "(observation, reward, terminated, truncated, info)"
STATE = np.zeros(2, np.float32)
NO_TUPLE = {
    "an array": ("reset", np.zeros(2), "an array of shape (2,), wanted (observation, info)"),
    "a matrix": ("reset", np.zeros((2, 3)), "an array of shape (2, 3), wanted (observation, info)"),
    "a list": ("reset", [0.0, 0.0], "a list of 2 (float, float), wanted (observation, info)"),
    "two parts": ("reset", (0.0, 0.0), "a tuple of 2 (float, float), wanted (observation, info)"),
    "nothing": ("reset", None, "None, a NoneType, wanted (observation, info)"),
    "four": (
        "step",
        (STATE, 1.0, False, {}),
        f"a tuple of 4 (ndarray, float, bool, dict), wanted {STEP}",
    ),
    "six": (
        "step",
        (STATE, 1.0, False, False, {}, 0),
        f"a tuple of 6 (ndarray, float, bool, bool, dict, int), wanted {STEP}",
    ),
    "a state": ("step", STATE, f"an array of shape (2,), wanted {STEP}"),
}


def played(method, value):
    spec = describe("OddReturning-v0", {"method": "none", "value": None})
    spec.env_kwargs.update(method=method, value=value)
    with contextlib.closing(CheckedEnv(spec, 2)) as env:
        env.reset(0, 5)
        return env.step(1)


@pytest.mark.parametrize("case", NO_TUPLE)
def test_what_has_another_form_is_named_with_the_form_that_is_wanted(case):
    method, value, words = NO_TUPLE[case]
    step = 0 if method == "reset" else 1
    place = f"environment 2 (OddReturning-v0), episode 5, step {step}: "
    with pytest.raises(EnvironmentFailedError) as caught:
        played(method, value)
    assert str(caught.value) == f"{place}{method} returned {words}"


@pytest.mark.parametrize("value", [(STATE, 1.0, False, {}), (STATE, 1.0), 7])
def test_a_wrong_step_is_named_behind_a_time_limit_as_well(value):
    spec = describe("OddLimited-v0", {"method": "step", "value": value})
    with contextlib.closing(CheckedEnv(spec)) as env:
        env.reset(0, 0)
        with pytest.raises(EnvironmentFailedError, match=re.escape(f"wanted {STEP}")) as caught:
            env.step(0)
    assert ".py" not in str(caught.value)


@pytest.mark.parametrize(
    ("reward", "words"),
    [
        (np.array([1.0]), "array([1.]) of shape (1,), wanted one number"),
        (np.ones((2, 1)), "array([[1.], [1.]]) of shape (2, 1), wanted one number"),
        ([1.0], "[1.0] of shape (1,), wanted one number"),
        (None, "None, wanted one number"),
        ("1.5", "'1.5', wanted one number"),
        (1 + 2j, "(1+2j), wanted one number"),
        ({"a": 1}, "{'a': 1}, wanted one number"),
        ([[1], [2, 3]], "[[1], [2, 3]], wanted one number"),
        (np.float32("nan"), "nan"),
        (np.array(np.inf), "inf"),
        (10**40, "1e+40"),
    ],
)
def test_a_reward_that_is_not_one_number_is_shown(reward, words):
    with pytest.raises(EnvironmentFailedError) as caught:
        played("reward", reward)
    assert str(caught.value).endswith(f"step 1 gave the reward {words}")


@pytest.mark.parametrize(
    "reward",
    [1, True, np.float32(1), np.int64(1), np.array(1.0), np.bool_(True), Fraction(2, 2)],
)
def test_every_kind_of_one_number_is_a_reward(reward):
    assert played("reward", reward)[1:5] == (1.0, False, False, False)


@pytest.mark.parametrize("value", [np.array([True, False]), np.zeros((2, 2))])
def test_an_end_that_is_not_true_or_false_is_shown(value):
    with pytest.raises(EnvironmentFailedError, match=r"gave terminated array.* true or false"):
        played("terminated", value)


def test_an_error_of_the_environment_keeps_its_own_line(monkeypatch):
    def step(self, action):
        raise ValueError("cannot unpack the world")

    monkeypatch.setattr(odd_envs.Returning, "step", step)
    with pytest.raises(EnvironmentFailedError, match=r"raised ValueError.*test_checked_env.py:\d"):
        played("none", None)


class _Unreadable:
    """Raises whatever is done with it."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def __repr__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("method", "words"),
    [("reset", "returned a value of type _Unreadable"), ("reward", "a value of type _Unreadable")],
)
def test_values_that_cannot_even_be_shown_are_named_by_their_type(method, words):
    with pytest.raises(EnvironmentFailedError, match=words):
        played(method, _Unreadable())


def test_an_observation_that_cannot_be_read_is_one_kind_of_error():
    with pytest.raises(EnvironmentFailedError, match="an observation that is no array of numbers"):
        played("step", (_Unreadable(), 1.0, False, False, {}))
