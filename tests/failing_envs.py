"""An environment that fails in some of its episodes, as their seeds decide, or only while a file is
there."""

import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from frankrl.core.random import RESET_SEEDS, Use

LENGTH = 9
"""Steps of an episode that does not fail."""


class Failing(gymnasium.Env):
    """Tells in each state which episode it is, by a number drawn from its seed, and which step."""

    observation_space = spaces.Box(0, 100, (2,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(
        self,
        how: str = "step",
        share: float = 0.2,
        at: int = 4,
        while_there: str = "",
        use: str = "TRAINING_RESET",
    ) -> None:
        """Say when it fails.

        Args:
            how: it raises in `step` or `reset`, gives a bad `value`, or its process ends, `exit`.
            share: share of the episodes that fail.
            at: step of these episodes at which they fail.
            while_there: a file without which it does not fail; empty: it always does.
            use: the seeds of which it fails.
        """
        self.how, self.share, self.at, self.while_there = how, share, at, while_there
        self.seeds = RESET_SEEDS[Use[use]]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.token, self.steps = self.np_random.random(dtype=np.float32), 0
        self.is_bad = self.np_random.random() < self.share and seed in self.seeds
        if self.how == "reset":
            self._fail(0)
        return self._state(), {}

    def step(self, action) -> Any:
        self.steps += 1
        reward = float(self.np_random.random() + action)
        if self.how != "reset" and self._fail(self.at):
            reward = float("nan")
        info = {"is_success": self.token > 0.5, "reward": reward, "words": "no number"}
        return self._state(), reward, False, self.steps == LENGTH, info

    def _fail(self, at: int) -> bool:
        if not self.is_bad or self.steps != at:
            return False
        if self.while_there and not os.path.exists(self.while_there):
            return False
        if self.how == "exit":
            os._exit(1)
        if self.how != "value":
            raise RuntimeError("the wheel came off")
        return True

    def _state(self) -> np.ndarray:
        return np.array([self.token, self.steps], np.float32)


class MaskedFailing(Failing):
    """Allows only one action in a state: the first at the beginning, then the last."""

    def action_masks(self) -> np.ndarray:
        return np.array([self.steps == 0, False, self.steps > 0])


gymnasium.register("Failing-v0", Failing, reward_threshold=-1.0)
gymnasium.register("MaskedFailing-v0", MaskedFailing)
