"""CartPole in JAX: a pole on a cart, the physics of Gymnasium's `CartPole-v1`."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int, UInt8

from frankrl.core.types import Array
from frankrl.environments.functional.drawing import drawn
from frankrl.environments.functional.protocol import FunctionalStep, Key, Mask

GRAVITY, FORCE, SECONDS = 9.8, 10.0, 0.02
"""Of the fall [m/s²], of a push [N], and the time of a step [s]."""
CART_MASS, POLE_MASS, HALF_LENGTH = 1.0, 0.1, 0.5
MAX_POSITION, MAX_ANGLE = 2.4, 12 * 2 * math.pi / 360
"""Where an episode terminates. [m, radians]"""
_TOTAL_MASS = CART_MASS + POLE_MASS
_POLE_MOMENT = POLE_MASS * HALF_LENGTH
_START = 0.05

CartPoleState = Float[Array, "4"]
"""Position, speed, angle and angular speed."""


@dataclass(frozen=True)
class CartPole:
    """Gymnasium's `CartPole-v1` without its time limit; numbers are float32.

    Source: Barto, Sutton and Anderson (1983). https://doi.org/10.1109/TSMC.1983.6313077
    """

    sutton_barto_reward: bool = False
    """Reward -1 for the end and 0 before it, instead of 1 for each step."""

    reward_threshold = 475.0
    max_episode_steps = None
    render_fps = 50

    @property
    def observation_space(self) -> spaces.Box:
        """Bounded where the episode ends by them, with a margin."""
        high = np.array([2 * MAX_POSITION, np.inf, 2 * MAX_ANGLE, np.inf], np.float32)
        return spaces.Box(-high, high)

    @property
    def action_space(self) -> spaces.Discrete:
        """Push left, push right."""
        return spaces.Discrete(2)

    def reset(self, key: Key) -> tuple[CartPoleState, CartPoleState, Mask]:
        """All four numbers uniform within ±0.05."""
        state = jax.random.uniform(key, (4,), jnp.float32, -_START, _START)
        return state, state, None

    def step(
        self, state: CartPoleState, action: Int[Array, ""], key: Key
    ) -> tuple[CartPoleState, FunctionalStep]:
        """One step of Euler's method."""
        position, speed, angle, angular_speed = state
        force = jnp.where(action == 1, FORCE, -FORCE)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        pull = (force + _POLE_MOMENT * angular_speed**2 * sin) / _TOTAL_MASS
        angular_acceleration = (GRAVITY * sin - cos * pull) / (
            HALF_LENGTH * (4 / 3 - POLE_MASS * cos**2 / _TOTAL_MASS)
        )
        acceleration = pull - _POLE_MOMENT * angular_acceleration * cos / _TOTAL_MASS
        position = position + SECONDS * speed
        angle = angle + SECONDS * angular_speed
        after = jnp.stack(
            [
                position,
                speed + SECONDS * acceleration,
                angle,
                angular_speed + SECONDS * angular_acceleration,
            ]
        )
        terminated = (jnp.abs(position) > MAX_POSITION) | (jnp.abs(angle) > MAX_ANGLE)
        reward = jnp.where(terminated, -1.0, 0.0) if self.sutton_barto_reward else jnp.ones(())
        return after, FunctionalStep(after, None, reward, terminated, jnp.zeros((), jnp.bool))

    def mirror_state(self, symmetry: int, state: CartPoleState) -> CartPoleState:
        """The state's mirror image; there is one symmetry."""
        return -state

    def render(self, state: CartPoleState) -> UInt8[np.ndarray, "height width 3"]:
        """The picture that Gymnasium draws."""
        return drawn("CartPole-v1", state)
