"""CartPole that shows where cart and pole are, and not how fast they move."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv
from jaxtyping import Float

SHOWN = (0, 2)
"""Position and angle, among the four numbers of CartPole."""


class CartPolePositions(CartPoleEnv):
    """Gymnasium's `CartPole-v1`, of which only position and angle are seen.

    One observation does not tell whether the pole falls or rises. Two in a row do.
    """

    def __init__(self, sutton_barto_reward: bool = False, render_mode: str | None = None) -> None:
        """Make the environment.

        Args:
            sutton_barto_reward: reward -1 for the end and 0 before it, instead of 1 for each step.
            render_mode: as of CartPole.
        """
        super().__init__(sutton_barto_reward, render_mode)
        whole = self.observation_space
        assert isinstance(whole, spaces.Box)
        self.observation_space = spaces.Box(whole.low[list(SHOWN)], whole.high[list(SHOWN)])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "2"], dict[str, Any]]:
        """A new episode, as of CartPole."""
        observation, info = super().reset(seed=seed, options=options)
        return observation[list(SHOWN)], info

    def step(self, action: Any) -> tuple[Any, float, bool, Any, dict[str, Any]]:
        """One step, as of CartPole."""
        observation, reward, terminated, truncated, info = super().step(action)
        return observation[list(SHOWN)], reward, terminated, truncated, info


def register() -> None:
    """Register the environment in Gymnasium, with the time limit and threshold of CartPole."""
    if "frankrl/CartPole-positions-v0" not in gymnasium.registry:
        whole = gymnasium.spec("CartPole-v1")
        gymnasium.register(
            id="frankrl/CartPole-positions-v0",
            entry_point="frankrl.environments.cartpole_positions:CartPolePositions",
            max_episode_steps=whole.max_episode_steps,
            reward_threshold=whole.reward_threshold,
        )
