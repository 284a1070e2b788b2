"""A world in which what counts is shown once: Q-values are known in closed form."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Cue(gymnasium.Env):
    """Shows 1 or -1, then zeros; the last action pays 1 if it is the one that was shown, else -1.

    Args:
        delay: steps between what is shown and the last action.
    """

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, delay: int = 2) -> None:
        self.delay, self.cue, self.position = delay, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cue, self.position = int(self.np_random.integers(2)), 0
        return np.array([2 * self.cue - 1], np.float32), {}

    def step(self, action):
        is_last = self.position == self.delay
        self.position += 1
        reward = (1.0 if action == self.cue else -1.0) if is_last else 0.0
        return np.zeros(1, np.float32), reward, is_last, False, {}


if "Cue-v0" not in gymnasium.registry:
    gymnasium.register("Cue-v0", Cue)
