"""The nouns of deep Q-learning, with their shapes."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num, PyTree, Shaped

ACTION_DTYPE = np.dtype(np.uint16)
"""How an action index is stored."""

Array = Any
"""A NumPy or a JAX array: records are the same on both sides."""
Observation = PyTree
"""What an environment shows: an array, or dictionaries and tuples of arrays (its leaves), each in
its own dtype, with the same axes in front."""
Params = PyTree
"""The parameters of a Q-network, θ: arrays in any structure that its definition chooses."""


class Transition(NamedTuple):
    """The notes' quadruple (s, a, r, s′), with the discount of what follows s′.

    With n-step returns, reward is the discounted sum of the rewards of n steps, and s′ the
    observation after the last of them. Observations are arrays, or dictionaries and tuples of
    arrays, with the batch's axes in front.
    """

    observation: Observation
    action: Shaped[Array, "*batch"]
    reward: Float[Array, "*batch"]
    next_observation: Observation
    discount: Float[Array, "*batch"]
    """γⁿ, and 0 after termination, where there is no future."""
    mask: Bool[Array, "*batch action"] | None = None
    """Which actions are allowed in s; none where all are in every state."""
    next_mask: Bool[Array, "*batch action"] | None = None
    """Likewise in s′."""


class Steps(NamedTuple):
    """What a round of stepping gave: the rows of all environments in order of time.

    Row t · num_envs + i is step t of environment i, so rows follow each other as env steps do.
    """

    observation: Observation
    """The state in which each action was taken, s; then where each environment stands now."""
    mask: Bool[Array, "row+env action"] | None
    """Which actions are allowed there; none where all are in every state."""
    action: Shaped[Array, " row"]
    reward: Float[Array, " row"]
    is_last: Bool[Array, " row"]
    """The step ended its episode, one way or the other."""
    terminated: Bool[Array, " row"]
    """The world ended with it: there is no future. A time limit does not set this."""
    last_observation: Observation
    """The observations that the ended episodes arrived at, in the order of those rows; zeros
    after them, so that the shape is fixed."""
    last_mask: Bool[Array, "row action"] | None


class Scaling(NamedTuple):
    """What the network does to an observation first: (x - offset) · factor.

    Plain numbers, one for each component or a single one for all; nothing learns them.
    """

    offset: tuple[float, ...] = (0.0,)
    factor: tuple[float, ...] = (1.0,)


class VectorStep(NamedTuple):
    """What one step of all environments gave."""

    observation: Shaped[Array, "env *row"]
    """State in which the action was taken, s."""
    action: Num[Array, " env"]
    """Action index from 0, a."""
    reward: Float[Array, " env"]
    next_observation: Shaped[Array, "env *row"]
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
