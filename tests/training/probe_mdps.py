"""Five tiny worlds whose Q-values are known in closed form."""

import gymnasium
import numpy as np
from gymnasium import spaces


class ProbeMDP(gymnasium.Env):
    """A chain of `length` states with reward 1 a step; how it ends is a setting.

    Args:
        length: steps of an episode.
        end: `terminated`, or `truncated` back where it began.
        pay: `all` steps pay 1, only the `last` one does, or action 1 pays 1 and action 0 pays -1.
    """

    observation_space = spaces.Box(0, 10, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 1, end: str = "terminated", pay: str = "all") -> None:
        self.length, self.end, self.pay = length, end, pay
        self.position = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = 0
        return self._state(), {}

    def step(self, action):
        last = self.position == self.length - 1
        reward = {"all": 1.0, "last": float(last), "action": 2.0 * action - 1.0}[self.pay]
        self.position += 1
        if last and self.end == "truncated":
            self.position = 0
        return self._state(), reward, last and self.end == "terminated", last, {}

    def _state(self):
        return np.array([self.position], np.float32)


if "ProbeMDP-v0" not in gymnasium.registry:
    gymnasium.register("ProbeMDP-v0", ProbeMDP)
