"""An environment and a network of one's own. Takes about 15 s on 2 cores."""

from dataclasses import dataclass

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

import frankrl


class Catch(gymnasium.Env):
    """Catch a falling ball: +1 if the paddle is below it at the end, else -1."""

    observation_space = spaces.Box(0, 1, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, width: int = 7, height: int = 9) -> None:
        self.width, self.height = width, height

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ball, self.row = int(self.np_random.integers(self.width)), 0
        self.paddle = self.width // 2
        return self._observation(), {}

    def step(self, action):
        self.paddle = int(np.clip(self.paddle + action - 1, 0, self.width - 1))
        self.row += 1
        over = self.row == self.height - 1
        caught = 1.0 if self.paddle == self.ball else -1.0
        return self._observation(), caught if over else 0.0, over, False, {}

    def _observation(self):
        last = self.width - 1
        places = (self.ball / last, self.row / (self.height - 1), self.paddle / last)
        return np.array(places, np.float32)


@dataclass(frozen=True)
class Network:
    """Hidden layers with relu, in plain JAX. As a frozen dataclass it compares by value."""

    widths: tuple[int, ...] = (64, 64)

    def init(self, key, spec):
        """The parameters: any pytree of float32 arrays."""
        (leaf,) = spec.leaves
        sizes = (leaf.size, *self.widths, spec.num_actions)
        keys = jax.random.split(key, len(sizes) - 1)
        return [
            {
                "weight": jax.random.normal(key, (before, after)) / before**0.5,
                "bias": jnp.zeros(after),
            }
            for key, before, after in zip(keys, sizes, sizes[1:], strict=False)
        ]

    def apply(self, params, observation):
        """Q-values of a batch of observations, of shape (batch, action)."""
        *hidden, output = params
        for layer in hidden:
            observation = jax.nn.relu(observation @ layer["weight"] + layer["bias"])
        return observation @ output["weight"] + output["bias"]


if __name__ == "__main__":
    result = frankrl.train(
        Catch,
        network=Network(),
        out="runs/catch",
        overwrite=True,
        learning_rate=1e-3,
        replay_capacity=20_000,
        target_period_updates=100,
        epsilon_decay_env_steps=5_000,
        total_env_steps=15_000,
        evaluate_every_env_steps=3_000,
    )
    print(result)
