"""A functional environment in which the last observation is not the state."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from frankrl.environments.functional.protocol import FunctionalStep


@dataclass(frozen=True)
class Recall:
    """Shows a symbol at the beginning of an episode alone, and pays for naming it later.

    An episode ends by chance, or when its time is up. In every other step an action is not allowed.
    """

    observation_space = spaces.Box(0, 1, (3,), np.float32)
    action_space = spaces.Discrete(3)
    reward_threshold = None
    max_episode_steps = 7

    def _mask(self, count):
        return (count % 2 == 0) | (jnp.arange(3) != 1)

    def reset(self, key):
        symbol, count = jax.random.randint(key, (), 0, 3), jnp.zeros((), jnp.int32)
        return (symbol, count), jax.nn.one_hot(symbol, 3), self._mask(count)

    def step(self, state, action, key):
        symbol, count = state[0], state[1] + 1
        reward = jnp.where(action == symbol, 1.0, 0.0)
        ends = jax.random.uniform(key) < 0.1, count == self.max_episode_steps
        return (symbol, count), FunctionalStep(jnp.zeros(3), self._mask(count), reward, *ends)
