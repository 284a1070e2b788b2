"""CartPole in JAX that shows where cart and pole are, and not how fast they move."""

from dataclasses import dataclass

import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Float, Int

from frankrl.core.types import Array
from frankrl.environments.cartpole_positions import SHOWN
from frankrl.environments.functional.cartpole import CartPole, CartPoleState
from frankrl.environments.functional.protocol import Around, FunctionalStep, Key, Mask


@dataclass(frozen=True)
class CartPolePositions(Around):
    """`frankrl/CartPole-positions-v0` without its time limit."""

    environment: CartPole

    max_episode_steps = None

    @property
    def observation_space(self) -> spaces.Box:
        """Position and angle."""
        shown, whole = list(SHOWN), self.environment.observation_space
        return spaces.Box(whole.low[shown], whole.high[shown])

    def reset(self, key: Key) -> tuple[CartPoleState, Float[Array, "2"], Mask]:
        """CartPole's first state."""
        state, observation, mask = self.environment.reset(key)
        return state, observation[jnp.array(SHOWN)], mask

    def step(
        self, state: CartPoleState, action: Int[Array, ""], key: Key
    ) -> tuple[CartPoleState, FunctionalStep]:
        """CartPole's step."""
        after, step = self.environment.step(state, action, key)
        return after, step._replace(observation=step.observation[jnp.array(SHOWN)])


def cartpole_positions(sutton_barto_reward: bool = False) -> CartPolePositions:
    """CartPole without velocities.

    Args:
        sutton_barto_reward: as of CartPole.
    """
    return CartPolePositions(CartPole(sutton_barto_reward))
