"""What is said of an environment before training."""

import gymnasium
import numpy as np
import odd_envs  # noqa: F401 - registers environments
import pytest
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from own_envs import Walk
from toy_text import TAXI
from training import masked_mdps  # noqa: F401 - registers environments

from frankrl.config import Settings
from frankrl.environments import describe_for, named_env, try_out
from frankrl.training import Experiment
from frankrl.training.environment_notes import notes_on


class Wide(gymnasium.Env):
    """Has the bounds that it is given."""

    action_space = spaces.Discrete(2)

    def __init__(self, low, high) -> None:
        self.observation_space = spaces.Box(np.array(low, np.float32), np.array(high, np.float32))

    def reset(self, *, seed=None, options=None):
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        return self.reset()[0], 0.0, False, True, {}


gymnasium.register("Wide-v0", Wide, max_episode_steps=9)


def notes(env_id, **changes):
    settings = Settings().with_changes(**changes).resolved()
    spec = describe_for(env_id, settings)
    return notes_on(Experiment.of(settings, spec, 0), try_out(spec))


@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "LunarLander-v3", "frankrl/NineSquares-v0", "ALE/Pong-v5"]
)
def test_of_an_ordinary_environment_nothing_is_said(env_id):
    assert notes(env_id, total_env_steps=10_000) == []


def test_it_is_said_where_allowed_actions_are_read_from():
    assert notes(TAXI) == ['allowed actions are read from info["action_mask"] (action_mask auto)']
    assert notes(TAXI, action_mask="off") == []
    (line, _) = notes("MaskedMDP-v0", env_kwargs={"where": "method"})
    assert line == "allowed actions are read from the method action_masks() (action_mask auto)"


def test_an_environment_without_a_time_limit_is_warned_of():
    (line,) = notes("OddEndless-v0")
    assert line.startswith("warning: OddEndless-v0 names no max_episode_steps")
    assert "100,000 steps in an evaluation (evaluation_max_episode_steps)" in line
    (line,) = notes("OddEndless-v0", evaluation_max_episode_steps=500)
    assert " 500 steps in an evaluation" in line
    silent = {"evaluate_every_env_steps": None, "final_evaluation_episodes": None}
    assert notes("OddEndless-v0", **silent) == []


def test_it_is_said_what_a_run_of_objects_needs_again():
    env, _ = named_env(lambda: Walk(limit=9))
    line, *_ = notes(env)
    assert line == (
        "env given as objects that cannot be imported by a name: to go on, to load or to explain, "
        "the run needs them again: frankrl.resume(run, env=…)"
    )
    line, *_ = notes(env, wrappers=[lambda env: TimeLimit(env, 5)])
    assert line.startswith("env and wrappers given as objects")
    assert line.endswith("frankrl.resume(run, env=…, wrappers=…)")
    assert "again" not in " ".join(notes("own_envs:Walk"))


@pytest.mark.parametrize("wrapper", ["NormalizeReward", "NormalizeObservation"])
def test_a_wrapper_with_running_statistics_is_named(wrapper):
    line, *_ = notes("OddNormalised-v0", env_kwargs={"wrapper": wrapper})
    assert line.startswith(f"warning: {wrapper} changes with everything that it sees")
    assert "normalize_observations and normalize_rewards" in line


def test_an_environment_that_does_not_repeat_itself_is_warned_of():
    line, *_ = notes("OddRemembering-v0")
    assert line.startswith("warning: OddRemembering-v0 gives something else for the same seed")


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [
        ([-1, -3.4e38], [1, 3.4e38], "s[1]"),
        ([-6e5, -3e38, 0], [6e5, 3e38, 1], "s[0], s[1]"),
        ([0, "-inf"], [1, "inf"], ""),
        ([[-5e5, 0]], [[5e5, 1]], ""),
        ([-1e20] * 10, [1e20] * 10, "s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] and 2 more"),
    ],
)
def test_bounds_that_count_as_none_are_named_once(low, high, named):
    kwargs = {"low": low, "high": high}
    assert notes("Wide-v0", env_kwargs=kwargs) == []
    expected = f"warning: scale_observation leaves {named} unscaled: the bounds are more than "
    found = notes("Wide-v0", env_kwargs=kwargs, scale_observation=True)
    assert found == ([f"{expected}1,000,000 apart"] if named else [])
