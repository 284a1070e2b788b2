"""An environment and a network of one's own. Takes about 15 s on 2 cores."""

import gymnasium
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


gymnasium.register("Catch-v0", Catch, reward_threshold=0.9)

if __name__ == "__main__":
    result = frankrl.train(
        "Catch-v0",
        out="runs/catch",
        overwrite=True,
        hidden_widths=(64, 32),
        dueling=True,
        learning_rate=1e-3,
        replay_capacity=20_000,
        target_period_updates=100,
        epsilon_decay_env_steps=5_000,
        total_env_steps=15_000,
        evaluate_every_env_steps=3_000,
    )
    print(result)
