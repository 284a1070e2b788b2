"""From stored steps to transitions over n of them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from frankrl.core.types import Transition
from frankrl.replay.state import ReplayState


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
    distance = jnp.arange(n_step, dtype=jnp.uint32) * num_envs
    spanned = (env_steps[..., None] + distance) % state.num_rows
    reward, terminated, ending = (
        _rows(field, spanned) for field in (state.reward, state.terminated, state.ending)
    )
    goes_on = ending == 0
    # Whether each of the steps belongs to the transition: none before it has ended the episode.
    spans = (
        jnp.concatenate(
            [jnp.ones_like(goes_on[..., :1]), jnp.cumprod(goes_on[..., :-1], axis=-1, dtype=bool)],
            axis=-1,
        )
        if n_step > 1
        else jnp.ones_like(goes_on)
    )
    num_steps = jnp.sum(spans, axis=-1, dtype=jnp.uint32)
    ending = jnp.sum(jnp.where(spans, ending, 0), axis=-1, dtype=jnp.uint32)
    ends_world = jnp.any(spans & terminated, axis=-1)
    following = (env_steps + num_steps * num_envs) % state.num_rows
    arrived_at = state.num_rows + (ending - 1) % state.num_ending_rows
    first, then = spanned[..., 0], jnp.where(ending > 0, arrived_at, following)
    powers = _powers(gamma, n_step)
    mask, next_mask = None, None
    if state.mask is not None:
        mask, next_mask = _rows(state.mask, first), _rows(state.mask, then)
    return Transition(
        observation=jax.tree.map(lambda leaf: _rows(leaf, first), state.observation),
        action=_rows(state.action, first),
        reward=_discounted_sum(jnp.where(spans, reward, 0.0), powers),
        next_observation=jax.tree.map(lambda leaf: _rows(leaf, then), state.observation),
        discount=jnp.where(ends_world, 0.0, jnp.asarray(powers)[num_steps]),
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
