"""Builds n-step transitions from stored steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from frankrl.core.normalisation import Scales
from frankrl.core.types import Observation, Transition
from frankrl.replay.state import ReplayState


class TransitionSpec(NamedTuple):
    """What makes stored steps transitions."""

    num_envs: int
    """Number of environments; their steps are stored in turns."""
    n_step: int
    """n: rewards that are summed."""
    gamma: float
    """Discount γ per env step."""
    frame_stack: int
    """Observations that are stacked, along an axis in front; 1: there is no such axis."""

    @property
    def powers(self) -> Float[np.ndarray, " power"]:
        """γ⁰ … γⁿ."""
        return np.array([self.gamma**power for power in range(self.n_step + 1)], np.float32)


class Places(NamedTuple):
    """Where observations are stored; stacked ones have an axis more, the oldest first."""

    places: UInt32[Array, "*batch"]
    is_shown: Bool[Array, "*batch"] | None
    """False before the start of the episode, where zeros stand; None: all are shown."""

    def followed_by(self, place: UInt32[Array, "*batch"]) -> "Places":
        """The stacks one step later: without the oldest observation, with another newest."""
        assert self.is_shown is not None
        places = jnp.concatenate([self.places[..., 1:], place[..., None]], axis=-1)
        newest = jnp.ones_like(self.is_shown[..., :1])
        return Places(places, jnp.concatenate([self.is_shown[..., 1:], newest], axis=-1))

    def read(self, observation: Observation) -> Observation:
        """The observations at these places."""

        def read(leaf: Array) -> Array:
            found = rows_of(leaf, self.places)
            if self.is_shown is None:
                return found
            axes = (1,) * (leaf.ndim - 1)
            return jnp.where(self.is_shown.reshape(*self.is_shown.shape, *axes), found, 0)

        return jax.tree.map(read, observation)


class Span(NamedTuple):
    """The steps that make up each transition."""

    rows: UInt32[Array, "*batch step"]
    """Rows of its first step and of the n - 1 steps after it."""
    belongs: Bool[Array, "*batch step"]
    """Whether each step belongs to the transition: false after the end of the episode, and after a
    step that counts as termination."""
    num_steps: UInt32[Array, "*batch"]
    """Number of steps that belong to it."""
    ending: UInt32[Array, "*batch"]
    """Number of the episode end that it reaches; 0 if it reaches none."""
    terminated: Bool[Array, "*batch"]
    """Whether s′ is terminal."""


def spans(state: ReplayState, env_steps: UInt32[Array, "*batch"], spec: TransitionSpec) -> Span:
    """The steps that make up the transitions which begin at the given env steps."""
    n_step = spec.n_step
    distance = jnp.arange(n_step, dtype=jnp.uint32) * spec.num_envs
    rows = (env_steps[..., None] + distance) % state.num_rows
    terminated, ending = rows_of(state.terminated, rows), rows_of(state.ending, rows)
    belongs = jnp.ones(rows.shape, jnp.bool_)
    for step in range(1, n_step):
        goes_on = (ending[..., step - 1] == 0) & ~terminated[..., step - 1]
        reached = belongs[..., step - 1] & goes_on
        belongs = belongs.at[..., step].set(reached)
    return Span(
        rows,
        belongs,
        jnp.sum(belongs, axis=-1, dtype=jnp.uint32),
        jnp.sum(jnp.where(belongs, ending, 0), axis=-1, dtype=jnp.uint32),
        jnp.any(belongs & terminated, axis=-1),
    )


def read_transitions(
    state: ReplayState,
    env_steps: UInt32[Array, "*batch"],
    spec: TransitionSpec,
    scales: Scales | None = None,
) -> Transition:
    """The transitions that begin at the given env steps.

    Rewards are summed over n steps, or up to the end of the episode or a lost life that counts as
    one, if that comes first: r₀ + γ r₁ + …; s′ is the observation after the last of these steps.

    Args:
        state: the buffer; it must hold all steps of the transitions.
        env_steps: env step at which each transition begins.
        spec: what makes steps transitions.
        scales: how observations and rewards are normalised; None: they are not.

    Source: Sutton (1988). https://doi.org/10.1007/BF00115009
    """
    span = spans(state, env_steps, spec)
    following = (env_steps + span.num_steps * spec.num_envs) % state.num_rows
    arrived_at = state.num_rows + (span.ending - 1) % state.num_ending_rows
    first, then = span.rows[..., 0], jnp.where(span.ending > 0, arrived_at, following)
    powers = spec.powers
    rewards = rows_of(state.reward, span.rows)
    if scales is not None:
        rewards = scales.of_reward(rewards)
    rewards = jnp.where(span.belongs, rewards, 0.0)
    mask, next_mask = None, None
    if state.mask is not None:
        mask, next_mask = rows_of(state.mask, first), rows_of(state.mask, then)
    seen, arrived = Places(first, None), Places(then, None)
    if spec.frame_stack > 1:
        seen = stacked_at(state, env_steps, spec)
        last_step = env_steps + (span.num_steps - 1) * spec.num_envs
        arrived = stacked_at(state, last_step, spec).followed_by(then)
    observation, next_observation = (places.read(state.observation) for places in (seen, arrived))
    if scales is not None:
        observation, next_observation = map(scales.of_observation, (observation, next_observation))
    return Transition(
        observation=observation,
        action=rows_of(state.action, first),
        reward=_discounted_sum(rewards, powers),
        next_observation=next_observation,
        discount=jnp.where(span.terminated, 0.0, jnp.asarray(powers)[span.num_steps]),
        mask=mask,
        next_mask=next_mask,
    )


def stacked_at(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], spec: TransitionSpec
) -> Places:
    """The newest observations of an episode up to, and including, the given env steps.

    Args:
        state: the buffer.
        env_steps: env step of each newest observation.
        spec: what makes steps transitions.

    Source: Mnih et al. (2015), Methods, preprocessing. https://doi.org/10.1038/nature14236
    """
    count = spec.frame_stack
    distance = np.arange(count - 1, -1, -1, dtype=np.uint32) * np.uint32(spec.num_envs)
    exists = env_steps[..., None] >= distance
    rows = jnp.where(exists, env_steps[..., None] - distance, 0) % state.num_rows
    goes_on = exists & (rows_of(state.ending, rows) == 0)
    is_shown = [jnp.ones(env_steps.shape, jnp.bool_)]
    for older in range(count - 2, -1, -1):
        is_shown.insert(0, is_shown[0] & goes_on[..., older])
    return Places(rows, jnp.stack(is_shown, axis=-1))


def _discounted_sum(
    reward: Float[Array, "*batch step"], powers: Float[np.ndarray, " power"]
) -> Float[Array, "*batch"]:
    total = reward[..., 0]
    for step in range(1, reward.shape[-1]):
        total = total + powers[step] * reward[..., step]
    return total


def rows_of(stored: Array, rows: UInt32[Array, "*batch"]) -> Array:
    """The entries in these rows, which must exist."""
    return stored.at[rows].get(mode="promise_in_bounds")
