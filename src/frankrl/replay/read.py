"""From stored steps to transitions over n of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from frankrl.core.types import Transition
from frankrl.replay.state import ReplayState


class Span(NamedTuple):
    """Which steps transitions are made of."""

    rows: UInt32[Array, "*batch step"]
    """Of the n steps from the first on."""
    belongs: Bool[Array, "*batch step"]
    """Whether each belongs to the transition: none before it has ended the episode."""
    num_steps: UInt32[Array, "*batch"]
    """How many do."""
    ending: UInt32[Array, "*batch"]
    """Number of the episode's end that they come to; 0 where it goes on."""
    terminated: Bool[Array, "*batch"]
    """Whether the world ends with them."""


def spans(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], num_envs: int, n_step: int
) -> Span:
    """Which steps the transitions are made of that begin with the given env steps."""
    distance = jnp.arange(n_step, dtype=jnp.uint32) * num_envs
    rows = (env_steps[..., None] + distance) % state.num_rows
    terminated, ending = _rows(state.terminated, rows), _rows(state.ending, rows)
    belongs = jnp.ones(rows.shape, jnp.bool_)
    for step in range(1, n_step):
        reached = belongs[..., step - 1] & (ending[..., step - 1] == 0)
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
    num_envs: int,
    n_step: int,
    gamma: float,
) -> Transition:
    """The transitions that begin with the given env steps.

    Rewards are summed up to the end of the episode, or over n steps if that comes first:
    r₀ + γ r₁ + …; s′ is the observation after the last of them.

    Args:
        state: the buffer.
        env_steps: whose steps are all there.
        num_envs: environments whose steps come in turns.
        n_step: n.
        gamma: γ.

    Source: Sutton (1988). https://doi.org/10.1007/BF00115009
    """
    span = spans(state, env_steps, num_envs, n_step)
    following = (env_steps + span.num_steps * num_envs) % state.num_rows
    arrived_at = state.num_rows + (span.ending - 1) % state.num_ending_rows
    first, then = span.rows[..., 0], jnp.where(span.ending > 0, arrived_at, following)
    powers = _powers(gamma, n_step)
    rewards = jnp.where(span.belongs, _rows(state.reward, span.rows), 0.0)
    mask, next_mask = None, None
    if state.mask is not None:
        mask, next_mask = _rows(state.mask, first), _rows(state.mask, then)
    return Transition(
        observation=jax.tree.map(lambda leaf: _rows(leaf, first), state.observation),
        action=_rows(state.action, first),
        reward=_discounted_sum(rewards, powers),
        next_observation=jax.tree.map(lambda leaf: _rows(leaf, then), state.observation),
        discount=jnp.where(span.terminated, 0.0, jnp.asarray(powers)[span.num_steps]),
        mask=mask,
        next_mask=next_mask,
    )


def _powers(gamma: float, n_step: int) -> Float[np.ndarray, " power"]:
    """γ⁰ … γⁿ."""
    return np.array([gamma**power for power in range(n_step + 1)], np.float32)


def _discounted_sum(
    reward: Float[Array, "*batch step"], powers: Float[np.ndarray, " power"]
) -> Float[Array, "*batch"]:
    total = reward[..., 0]
    for step in range(1, reward.shape[-1]):
        total = total + powers[step] * reward[..., step]
    return total


def _rows(stored: Array, rows: UInt32[Array, "*batch"]) -> Array:
    return stored.at[rows].get(mode="promise_in_bounds")
