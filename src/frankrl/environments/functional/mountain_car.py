"""MountainCar in JAX: a car in a valley, the physics of Gymnasium's `MountainCar-v0`."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int, UInt8

from frankrl.core.types import Array
from frankrl.environments.functional.drawing import drawn
from frankrl.environments.functional.protocol import FunctionalStep, Key, Mask

MIN_POSITION, MAX_POSITION, GOAL = -1.2, 0.6, 0.5
MAX_SPEED, FORCE, GRAVITY = 0.07, 0.001, 0.0025
_START = (-0.6, -0.4)

MountainCarState = Float[Array, "2"]
"""Position and speed."""


@dataclass(frozen=True)
class MountainCar:
    """Gymnasium's `MountainCar-v0` without its time limit; numbers are float32.

    Source: Moore (1990). https://www.cl.cam.ac.uk/techreports/UCAM-CL-TR-209.pdf
    """

    goal_velocity: float = 0
    """Least speed with which the car must arrive."""

    reward_threshold = -110.0
    max_episode_steps = None
    render_fps = 30

    @property
    def observation_space(self) -> spaces.Box:
        """Position and speed."""
        low = np.array([MIN_POSITION, -MAX_SPEED], np.float32)
        return spaces.Box(low, np.array([MAX_POSITION, MAX_SPEED], np.float32))

    @property
    def action_space(self) -> spaces.Discrete:
        """Accelerate left, do nothing, accelerate right."""
        return spaces.Discrete(3)

    def reset(self, key: Key) -> tuple[MountainCarState, MountainCarState, Mask]:
        """At rest, the position uniform from -0.6 to -0.4."""
        position = jax.random.uniform(key, (), jnp.float32, *_START)
        state = jnp.stack([position, jnp.zeros(())])
        return state, state, None

    def step(
        self, state: MountainCarState, action: Int[Array, ""], key: Key
    ) -> tuple[MountainCarState, FunctionalStep]:
        """One step; the wall on the left stops the car."""
        position, speed = state
        speed = speed + (action - 1) * FORCE - GRAVITY * jnp.cos(3 * position)
        speed = jnp.clip(speed, -MAX_SPEED, MAX_SPEED)
        position = jnp.clip(position + speed, MIN_POSITION, MAX_POSITION)
        at_wall = position <= jnp.float32(MIN_POSITION)
        speed = jnp.where(at_wall & (speed < 0), 0.0, speed)
        after = jnp.stack([position, speed])
        terminated = (position >= GOAL) & (speed >= self.goal_velocity)
        no = jnp.zeros((), jnp.bool)
        return after, FunctionalStep(after, None, -jnp.ones(()), terminated, no)

    def render(self, state: MountainCarState) -> UInt8[np.ndarray, "height width 3"]:
        """The picture that Gymnasium draws."""
        return drawn("MountainCar-v0", state)
