"""The nine-square grid in JAX, with the transitions of `frankrl/NineSquares-v0`."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Int, UInt8

from frankrl.core.types import Array
from frankrl.environments import nine_squares as on_host
from frankrl.environments.functional.protocol import FunctionalStep, Key, Mask

_OUTCOMES = [list(of_square.values()) for of_square in on_host.transitions().values()]
_ARRIVED = np.array([[one[1] for (one,) in row] for row in _OUTCOMES], np.int32)
_REWARDS = np.array([[one[2] for (one,) in row] for row in _OUTCOMES], np.float32)
_TERMINATED = np.array([[one[3] for (one,) in row] for row in _OUTCOMES])


@dataclass(frozen=True)
class NineSquares:
    """`frankrl/NineSquares-v0` without its time limit."""

    reward_threshold = on_host.REWARD_THRESHOLD
    max_episode_steps = None
    render_fps = 4

    @property
    def observation_space(self) -> spaces.Discrete:
        """The square."""
        return spaces.Discrete(len(_ARRIVED))

    @property
    def action_space(self) -> spaces.Discrete:
        """Up, right, down, left."""
        return spaces.Discrete(_ARRIVED.shape[1])

    def reset(self, key: Key) -> tuple[Int[Array, ""], Int[Array, ""], Mask]:
        """One of the seven ordinary squares, with equal probability."""
        square = jax.random.choice(key, jnp.array(on_host.ORDINARY, jnp.int32))
        return square, square, None

    def step(
        self, state: Int[Array, ""], action: Int[Array, ""], key: Key
    ) -> tuple[Int[Array, ""], FunctionalStep]:
        """One step on the grid."""
        arrived = jnp.asarray(_ARRIVED)[state, action]
        reward = jnp.asarray(_REWARDS)[state, action]
        terminated = jnp.asarray(_TERMINATED)[state, action]
        no = jnp.zeros((), jnp.bool)
        return arrived, FunctionalStep(arrived, None, reward, terminated, no)

    def mirror_state(self, symmetry: int, state: Int[Array, ""]) -> Int[Array, ""]:
        """The state's mirror image; there is one symmetry."""
        return jnp.asarray(on_host.MIRROR_OF_SQUARE, jnp.int32)[state]

    def render(self, state: Int[Array, ""]) -> UInt8[np.ndarray, "height width 3"]:
        """The same picture."""
        return on_host.picture(int(state))
