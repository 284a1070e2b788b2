"""The records of deep Q-learning, with their shapes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Num, Shaped

ACTION_DTYPE = np.dtype(np.uint16)
"""Dtype of a stored action index."""

Array = Any
"""A NumPy or JAX array; the same records are used for both."""
Observation = Any  # `jaxtyping.PyTree` would import JAX, which lists of runs do without.
"""What an environment shows: an array, or dictionaries and tuples of arrays (its leaves), each in
its own dtype, with the same axes in front."""
Params = Any
"""The parameters of a Q-network, θ: arrays in any structure that its definition chooses."""


class Transition(NamedTuple):
    """The notes' quadruple (s, a, r, s′), with the discount of the value of s′.

    With n-step returns, the reward is the discounted sum of n rewards, and s′ is the observation
    after the last of these steps. Observations are arrays, or dictionaries and tuples of arrays,
    with the batch axes in front.
    """

    observation: Observation
    action: Shaped[Array, "*batch"]
    reward: Float[Array, "*batch"]
    next_observation: Observation
    discount: Float[Array, "*batch"]
    """γⁿ; 0 if s′ is terminal."""
    mask: Bool[Array, "*batch action"] | None = None
    """Which actions are allowed in s; None without action masks."""
    next_mask: Bool[Array, "*batch action"] | None = None
    """Which actions are allowed in s′."""


class SequenceSpec(NamedTuple):
    """Which steps a sequence has, and what its priority is."""

    burn_in_steps: int
    """Steps from which the memory is only computed."""
    learned_steps: int
    """T: steps that are learned from."""
    memory_units: int
    priority_share: float
    """η: the priority is η · the largest error of its steps + (1 - η) · their mean."""


class Minibatch(NamedTuple):
    """Actions taken, and what their Q-values should have been: what PQN learns from at once."""

    observation: Observation
    """The state in which each action was taken, s."""
    action: Shaped[Array, "*batch"]
    target: Float[Array, "*batch"]
    """λ-return of each action. [reward]"""
    mask: Bool[Array, "*batch action"] | None = None
    """Which actions are allowed in s; None without action masks."""


class Steps(NamedTuple):
    """The steps that all environments took in a round, in order of time.

    Row t · num_envs + i is step t of environment i, so the rows have the order of env steps.
    """

    observation: Observation
    """The state in which each action was taken, s; then where each environment stands now."""
    mask: Bool[Array, "row+env action"] | None
    """Which actions are allowed in these states; None without action masks."""
    action: Shaped[Array, " row"]
    """Of `ACTION_DTYPE`: converting here would cost the compiled call another thread's wake-up."""
    reward: Float[Array, " row"]
    is_last: Bool[Array, " row"]
    """The step ended its episode, by termination or truncation."""
    terminated: Bool[Array, " row"]
    """The step led to a terminal state, or to one that counts as such, after a lost life. A time
    limit does not set this."""
    last_observation: Observation
    """The observations that the ended episodes arrived at, in the order of those rows; zeros
    after them, so that the shape is fixed."""
    last_mask: Bool[Array, "row action"] | None
    errors: Float[Array, " row"] | None = None
    """|TD error| of the transition that begins with each step, by the weights that acted; it makes
    the first priority. None: new transitions get the largest priority. [reward]"""
    memory: Float[Array, "row+env unit"] | None = None
    """What the network remembered before each of these states, with the weights that acted; zeros
    at an episode's start. None without a memory."""


class Scaling(NamedTuple):
    """Fixed scaling of an observation before the network: (x - offset) · factor.

    Plain numbers, one for each component or a single one for all.
    """

    offset: tuple[float, ...] = (0.0,)
    factor: tuple[float, ...] = (1.0,)


class FinalInfo(NamedTuple):
    """What the info of an episode's last step says under the names that are asked for."""

    values: Mapping[str, float]
    """The numbers by their names."""
    missing: Mapping[str, str]
    """Why there is no number, by its name."""


class FailedEpisode(NamedTuple):
    """One episode in training that its environment could not finish; the next one has begun."""

    env_steps: int
    """Env steps of the run at the step that failed."""
    env_index: int
    episode: int
    """Number of the episode in its environment, from 0."""
    length: int
    """Env steps of the episode that were taken before; they stay in the replay buffer."""
    reason: str
    not_exact_because: str
    """Why the same command may not fail here again; empty if it does."""


class VectorStep(NamedTuple):
    """One step of all environments."""

    observation: Shaped[Array, "env *row"]
    """State in which the action was taken, s."""
    action: Num[Array, " env"]
    """Action index from 0, a."""
    reward: Float[Array, " env"]
    next_observation: Shaped[Array, "env *row"]
    """State arrived at, s′; at an episode's end its true last state, never the reset one."""
    terminated: Bool[Array, " env"]
    truncated: Bool[Array, " env"]
    life_lost: Bool[Array, " env"]
    """The step cost a life of an Atari game, of which there may be more."""
    final_infos: Mapping[int, FinalInfo] = {}
    """Of the episodes that ended and gave something, by the env steps of the run at their end."""
    failed: tuple[FailedEpisode, ...] = ()
    """The episodes that were dropped before this step was taken in the one after them."""


class FinishedEpisode(NamedTuple):
    """One episode that ended in training."""

    env_steps: int
    """Env steps of the run when it ended."""
    env_index: int
    episode: int
    """Number of the episode in its environment, from 0."""
    episode_return: float
    """Undiscounted sum of rewards."""
    length: int
    """Env steps of the episode."""


class Arrival(NamedTuple):
    """One chunk of an actor that runs freely, as it came to the learner."""

    env_steps: int
    """Env steps of the run after it."""
    actor: int
    chunk: int
    """Number of the chunk among those of this actor, from 0."""
    updates: int
    """Updates of the run that led to the weights that acted."""
