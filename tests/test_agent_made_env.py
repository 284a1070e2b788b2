"""The environment that an agent makes for itself, beside the way of the training."""

import contextlib

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium import spaces
from memoryless import memoryless
from training import masked_mdps  # noqa: F401 - registers environments

from frankrl.agent import Agent
from frankrl.config import Settings
from frankrl.core.errors import EnvironmentUnusableError, SettingError
from frankrl.environments import CheckedEnv, FrameStack, describe_for


class Shifted(gymnasium.Env):
    """Observations that cannot be zero, and numbers that do not begin at 0."""

    action_space = spaces.Discrete(2, start=1)
    observation_space = spaces.Dict(
        {
            "many": spaces.MultiDiscrete([3, 4], start=[2, -1]),
            "number": spaces.Discrete(5, start=3),
            "pair": spaces.Tuple([spaces.Box(1, 2, (2,), np.float32), spaces.MultiBinary(3)]),
        }
    )

    def _shown(self):
        self.observation_space.seed(int(self.np_random.integers(1000)))
        return self.observation_space.sample()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._shown(), {}

    def step(self, action):
        return self._shown(), 5.0, False, False, {}


gymnasium.register("Shifted-v0", Shifted, max_episode_steps=5)

CASES = {
    "screens": ("ALE/Breakout-v5", {"fire_reset": True, "life_loss_terminates": True}),
    "planes": ("MinAtar/Breakout-v1", {"frame_stack": 3}),
    "without a stack": ("CartPole-v1", {}),
    "everything": ("Shifted-v0", {"frame_stack": 3, "clip_rewards": "on"}),
    "a mask in the observation": (
        "MaskedMDP-v0",
        {"frame_stack": 2, "env_kwargs": {"where": "observation"}},
    ),
}


def agent_for(env_id, **changes) -> Agent:
    """An agent whose Q-values depend on every number that it sees."""
    spec = describe_for(env_id, Settings().with_changes(**changes).resolved())

    @memoryless
    def q_values(observation, action_mask):
        numbers = [np.ravel(leaf.astype(np.float64)) for leaf in jax.tree.leaves(observation)]
        row = np.concatenate(numbers)
        weights = np.sin(np.arange(spec.num_actions * len(row))).reshape(-1, spec.num_actions)
        values = (row @ weights)[None]
        return values if action_mask is None else np.where(action_mask, values, -np.inf)

    return Agent(spec, q_values, epsilon=0.0)


@pytest.mark.parametrize("case", CASES)
def test_an_agent_plays_in_its_own_environment_as_an_evaluation_plays(case):
    env_id, changes = CASES[case]
    agent = agent_for(env_id, **changes)
    stack = FrameStack(agent.spec, 1)
    with (
        contextlib.closing(agent.make_env()) as env,
        contextlib.closing(CheckedEnv(agent.spec)) as checked,
    ):
        for episode in range(2):
            observation, _ = env.reset(seed=episode)
            assert observation in env.observation_space or case == "everything"
            stack.begin([0], checked.reset(episode, episode)[None])
            for _ in range(12):
                q_values = agent.q_values(observation)
                seen, _ = agent.batch_q_values(stack.observation, stack.mask)
                np.testing.assert_array_equal(q_values, seen[0])
                action = agent.act(observation)
                observation, reward, terminated, truncated, _ = env.step(action)
                step = checked.step(int(action) - agent.spec.first_action)
                assert (reward, terminated, truncated) == (
                    step.reward,
                    step.terminated,
                    step.truncated,
                )
                if terminated or truncated:
                    break
                stack.push(step.row[None])


def test_it_renders_as_it_is_asked_to():
    agent = agent_for("ALE/Pong-v5")
    with contextlib.closing(agent.make_env("rgb_array")) as env:
        observation, _ = env.reset(seed=0)
        assert observation.shape == (4, 84, 84)
        assert env.render().shape == (210, 160, 3)
    with pytest.raises(EnvironmentUnusableError, match="cannot be filmed"):
        agent_for("MaskedMDP-v0").make_env("rgb_array")
    with pytest.raises(SettingError, match="allow_code must be True or False"):
        agent.make_env(allow_code="yes")
