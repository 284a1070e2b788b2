"""The nouns of deep Q-learning, with their shapes."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num, Shaped, UInt8, UInt16

ACTION_DTYPE = np.dtype(np.uint16)
"""How an action index is stored."""

Array = Any
"""A NumPy or a JAX array: records are the same on both sides."""


class QuadrupleBatch(NamedTuple):
    """Quadruples (s, a, r, s′), each with what its target needs to know about the end.

    With n-step returns r is the discounted sum of the rewards of `num_steps` steps
    and s′ the state after the last of them.
    """

    observation: Shaped[Array, "*batch_and_obs"]
    action: UInt16[Array, "*batch"]
    reward: Float[Array, "*batch"]
    next_observation: Shaped[Array, "*batch_and_obs"]
    terminated: Bool[Array, "*batch"]
    """The world ended in s′: there is no future. A time limit does not set this."""
    num_steps: UInt8[Array, "*batch"]
    """Env steps from s to s′; the target's discount is γ to this power."""


class Scaling(NamedTuple):
    """What the network does to an observation first: (x - offset) · factor.

    Plain numbers, one for each component or a single one for all; nothing learns them.
    """

    offset: tuple[float, ...] = (0.0,)
    factor: tuple[float, ...] = (1.0,)


class VectorStep(NamedTuple):
    """What one step of all environments gave."""

    observation: Num[Array, "env *obs"]
    """State in which the action was taken, s."""
    action: Num[Array, " env"]
    """Action index from 0, a."""
    reward: Float[Array, " env"]
    next_observation: Num[Array, "env *obs"]
    """State arrived at, s′; at an episode's end its true last state, never the reset one."""
    terminated: Bool[Array, " env"]
    truncated: Bool[Array, " env"]


class FinishedEpisode(NamedTuple):
    """One episode that ended in training."""

    env_steps: int
    """Transitions collected in the whole run when it ended."""
    env_index: int
    episode: int
    """Number of the episode in its environment, from 0."""
    episode_return: float
    """Undiscounted sum of rewards."""
    length: int
    """Env steps of the episode."""
