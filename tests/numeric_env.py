"""An environment that computes with JAX: its states tell with how many bytes a number."""

import gymnasium
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces


class Numeric(gymnasium.Env):
    """Its states are the size of JAX's numbers, and a random number."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._state(), {}

    def step(self, action):
        self.steps += 1
        return self._state(), 1.0, False, self.steps == 9, {}

    def _state(self):
        return np.array([jnp.arange(1.0).dtype.itemsize, self.np_random.random()])


gymnasium.register("FrankNumeric-v0", Numeric)
