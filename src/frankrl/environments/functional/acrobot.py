"""Acrobot in JAX: a pendulum of two links, the physics of Gymnasium's `Acrobot-v1`."""

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

SECONDS, GRAVITY = 0.2, 9.8
"""Time of a step [s], and of the fall [m/s²]."""
MAX_SPEEDS = (4 * math.pi, 9 * math.pi)
"""Bounds of the two angular speeds. [radians/s]"""
_LENGTH, _MASS, _CENTRE, _INERTIA = 1.0, 1.0, 0.5, 1.0
"""Of either link: its length [m], its mass [kg], its centre of mass, its moment of inertia."""
_START = 0.1

AcrobotState = Float[Array, "4"]
"""θ₁ from hanging down, θ₂ from the first link, and their speeds."""


@dataclass(frozen=True)
class Acrobot:
    """Gymnasium's `Acrobot-v1` without its time limit; numbers are float32.

    Source: Sutton (1996), with the equations of Sutton and Barto's book.
    http://incompleteideas.net/book/11/node4.html
    """

    reward_threshold = -100.0
    max_episode_steps = None
    render_fps = 15

    @property
    def observation_space(self) -> spaces.Box:
        """Cosine and sine of both angles, and their speeds."""
        high = np.array([1, 1, 1, 1, *MAX_SPEEDS], np.float32)
        return spaces.Box(-high, high)

    @property
    def action_space(self) -> spaces.Discrete:
        """Torque -1, 0 or +1 between the links."""
        return spaces.Discrete(3)

    def reset(self, key: Key) -> tuple[AcrobotState, Float[Array, "6"], Mask]:
        """All four numbers uniform within ±0.1."""
        state = jax.random.uniform(key, (4,), jnp.float32, -_START, _START)
        return state, _shown(state), None

    def step(
        self, state: AcrobotState, action: Int[Array, ""], key: Key
    ) -> tuple[AcrobotState, FunctionalStep]:
        """One step of Runge and Kutta's method of fourth order."""
        after = _integrated(state, (action - 1).astype(jnp.float32))
        speeds = jnp.array(MAX_SPEEDS, jnp.float32)
        after = jnp.concatenate([_wrapped(after[:2]), jnp.clip(after[2:], -speeds, speeds)])
        first, second = after[:2]
        terminated = -jnp.cos(first) - jnp.cos(first + second) > 1
        reward = jnp.where(terminated, 0.0, -1.0)
        no = jnp.zeros((), jnp.bool)
        return after, FunctionalStep(_shown(after), None, reward, terminated, no)

    def mirror_state(self, symmetry: int, state: AcrobotState) -> AcrobotState:
        """The state's mirror image; there is one symmetry."""
        return -state

    def render(self, state: AcrobotState) -> UInt8[np.ndarray, "height width 3"]:
        """The picture that Gymnasium draws."""
        return drawn("Acrobot-v1", state)


def _shown(state: AcrobotState) -> Float[Array, "6"]:
    cos, sin = jnp.cos(state[:2]), jnp.sin(state[:2])
    return jnp.stack([cos[0], sin[0], cos[1], sin[1], state[2], state[3]])


def _integrated(state: AcrobotState, torque: Float[Array, ""]) -> AcrobotState:
    first = _change(state, torque)
    second = _change(state + SECONDS / 2 * first, torque)
    third = _change(state + SECONDS / 2 * second, torque)
    fourth = _change(state + SECONDS * third, torque)
    return state + SECONDS / 6 * (first + 2 * second + 2 * third + fourth)


def _change(state: AcrobotState, torque: Float[Array, ""]) -> AcrobotState:
    """The state's derivative in time, by the book's equations and names."""
    theta1, theta2, speed1, speed2 = state
    d1 = (
        _MASS * _CENTRE**2
        + _MASS * (_LENGTH**2 + _CENTRE**2 + 2 * _LENGTH * _CENTRE * jnp.cos(theta2))
        + 2 * _INERTIA
    )
    d2 = _MASS * (_CENTRE**2 + _LENGTH * _CENTRE * jnp.cos(theta2)) + _INERTIA
    # cos(x - π/2) = sin(x), which keeps its small values exact.
    phi2 = _MASS * _CENTRE * GRAVITY * jnp.sin(theta1 + theta2)
    phi1 = (
        -_MASS * _LENGTH * _CENTRE * speed2**2 * jnp.sin(theta2)
        - 2 * _MASS * _LENGTH * _CENTRE * speed2 * speed1 * jnp.sin(theta2)
        + (_MASS * _CENTRE + _MASS * _LENGTH) * GRAVITY * jnp.sin(theta1)
        + phi2
    )
    pull = torque + d2 / d1 * phi1 - _MASS * _LENGTH * _CENTRE * speed1**2 * jnp.sin(theta2) - phi2
    acceleration2 = pull / (_MASS * _CENTRE**2 + _INERTIA - d2**2 / d1)
    acceleration1 = -(d2 * acceleration2 + phi1) / d1
    return jnp.stack([speed1, speed2, acceleration1, acceleration2])


def _wrapped(angles: Float[Array, "2"]) -> Float[Array, "2"]:
    """The angles within -π … π."""
    turn = 2 * math.pi
    too_many = jnp.maximum(jnp.ceil((angles - math.pi) / turn), 0)
    too_few = jnp.maximum(jnp.ceil((-math.pi - angles) / turn), 0)
    return angles + turn * (too_few - too_many)
