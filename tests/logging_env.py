"""An environment that notes all that it gave, with a mask, numbers and entries of several kinds."""

from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from frankrl.datasets import DataEpisode

FIRST_ACTION, NUM_ACTIONS = 2, 3
ENDED: list[DataEpisode] = []
"""Every episode that ended, in this process."""


class Logging(gymnasium.Env):
    """Walks at random; terminates or is truncated by chance."""

    observation_space = spaces.Dict(
        place=spaces.Discrete(5, start=-2), speed=spaces.Box(-9, 9, (2,), np.float64)
    )
    action_space = spaces.Discrete(NUM_ACTIONS, start=FIRST_ACTION)

    def __init__(self, folder: str = "") -> None:
        self.folder = folder

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        super().reset(seed=seed)
        self.given: tuple[list, ...] = ([], [], [], [])
        self.seed = seed
        return self._seen()

    def step(self, action: Any) -> Any:
        assert self.given[3][-1][action - FIRST_ACTION]
        terminated, truncated = (bool(chance) for chance in self.np_random.random(2) < 0.12)
        # Exact in 32 bits, as the replay buffer holds it.
        reward = float(np.float32(self.np_random.normal()))
        self.given[1].append(int(action))
        self.given[2].append(reward)
        observation, info = self._seen()
        if terminated or truncated:
            states, actions, rewards, masks = self.given
            ENDED.append(
                DataEpisode(
                    jax.tree.map(lambda *parts: np.stack(parts), *states),
                    np.array(actions),
                    np.array(rewards),
                    terminated,
                    truncated,
                    np.stack(masks),
                    self.seed,
                )
            )
        return observation, reward, terminated, truncated, info

    def _seen(self) -> tuple[dict[str, Any], dict[str, Any]]:
        speed = self.np_random.normal(size=2).astype(np.float32).astype(np.float64)
        seen = {"place": np.int64(self.np_random.integers(-2, 3)), "speed": speed}
        mask = self.np_random.integers(2, size=NUM_ACTIONS).astype(np.bool_)
        mask[self.np_random.integers(NUM_ACTIONS)] = True
        self.given[0].append(seen)
        self.given[3].append(mask)
        return seen, {"action_mask": mask}


gymnasium.register("FrankLogging-v0", Logging)
