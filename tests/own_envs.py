"""Environments and wrappers as people write them in a module of theirs; none is registered."""

import gymnasium
import numpy as np
from gymnasium import spaces

SMALL = {
    "preset": "default",
    "num_envs": 2,
    "hidden_widths": (8,),
    "learning_starts_env_steps": 40,
    "log_every_env_steps": 20,
    "checkpoint_every_env_steps": 60,
    "evaluate_every_env_steps": 40,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 2,
    "total_env_steps": 100,
}
"""Settings of a run of a second in one of them."""


class Walk(gymnasium.Env):
    """Walk to the right end; a number in sight is noise."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(-50, 50, (2,), np.float32)

    def __init__(self, length=4, limit=20, render_mode=None):
        self.length, self.limit, self.render_mode = length, limit, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = int(self.np_random.integers(2)), 0
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.place += 1 if action else -1
        arrived = self.place >= self.length
        return self._seen(), 1.0 if arrived else -0.1, arrived, self.steps >= self.limit, {}

    def render(self):
        return np.full((64, 64, 3), 10 * abs(self.place), np.uint8)

    def _seen(self):
        return np.array([self.place, self.np_random.random()], np.float32)


class Doubled(gymnasium.RewardWrapper):
    """Doubles rewards."""

    def reward(self, reward):
        return 2.0 * reward


class Shifted(gymnasium.ObservationWrapper):
    """Shifts what is seen, by as much as its episode is old."""

    def reset(self, *, seed=None, options=None):
        self.age = 0
        return super().reset(seed=seed, options=options)

    def observation(self, observation):
        self.age += 1
        return observation + np.float32(0.01 * self.age)


class Wider(gymnasium.ObservationWrapper):
    """Shows one number more."""

    observation_space = spaces.Box(-50, 50, (3,), np.float32)

    def observation(self, observation):
        return np.append(observation, np.float32(0))


def make_walk(**kwargs):
    """A function that makes an environment, in Gymnasium's own wrappers."""
    return gymnasium.wrappers.TimeLimit(Walk(**kwargs), 12)


def broken(env):
    """A wrapper that cannot be made."""
    raise RuntimeError("no such luck")
