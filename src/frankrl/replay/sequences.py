"""Builds sequences from stored steps, for networks with memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from frankrl.core.normalisation import Scales
from frankrl.core.sequences import Sequences
from frankrl.core.types import SequenceSpec
from frankrl.replay.read import Places, TransitionSpec, rows_of
from frankrl.replay.state import ReplayState


class _Back(NamedTuple):
    """The steps before the first learned ones, the oldest first."""

    rows: UInt32[Array, "*batch step"]
    is_shown: Bool[Array, "*batch step"]
    """False before the start of the episode."""


class _Ahead(NamedTuple):
    """The learned steps, and those after them up to the last observation."""

    rows: UInt32[Array, "*batch step"]
    """Rows of the steps; of T + n - 1."""
    places: UInt32[Array, "*batch position"]
    """Where the observations stand; of T + n."""
    num_steps: Int[Array, "*batch"]
    """Number of steps up to the end of the episode; at most T + n - 1."""


class _Sums(NamedTuple):
    """The n-step sums of the learned steps."""

    reward: Float[Array, "*batch step"]
    discount: Float[Array, "*batch step"]
    num_steps: Int[Array, "*batch step"]
    """Steps that were summed."""


def read_sequences(
    state: ReplayState,
    env_steps: UInt32[Array, "*batch"],
    spec: SequenceSpec,
    each: TransitionSpec,
    scales: Scales | None = None,
) -> Sequences:
    """The sequences whose first learned steps are the given env steps.

    Each looks back `burn_in_steps` steps, and forward T + n - 1 steps, within the episode. Rewards
    are summed over n steps, or up to the end of the episode or a lost life that counts as one.

    Args:
        state: the buffer; it must hold all steps of the sequences.
        env_steps: env step of each first learned step.
        spec: which steps a sequence has.
        each: what makes a learned step a transition.
        scales: how observations and rewards are normalised; None: they are not.

    Source: Kapturowski et al. (2019), section 2.3. https://openreview.net/forum?id=r1lyTjAqYX
    """
    assert state.memory is not None
    before, count, num_envs = spec.burn_in_steps, spec.learned_steps, each.num_envs
    back = _back(state, env_steps, num_envs, before + each.frame_stack - 1)
    ahead = _ahead(state, env_steps, num_envs, count + each.n_step - 1)
    ended = ahead.num_steps[..., None]
    belongs = jnp.arange(count) < ended
    sums = _sums(state, ahead, belongs, each, scales)

    places = jnp.concatenate([back.rows, ahead.places], axis=-1)
    is_shown = jnp.concatenate([back.is_shown, jnp.arange(count + each.n_step) <= ended], axis=-1)
    observation = _stacked(Places(places, is_shown), each.frame_stack).read(state.observation)
    if scales is not None:
        observation = scales.of_observation(observation)
    places, is_shown = (part[..., each.frame_stack - 1 :] for part in (places, is_shown))
    mask = None
    if state.mask is not None:
        mask = rows_of(state.mask, places) | ~is_shown[..., None]
    burnt_in = jnp.sum(is_shown[..., :before], axis=-1, dtype=jnp.uint32)
    began = (env_steps - burnt_in * num_envs) % state.num_rows
    action = rows_of(state.action, ahead.rows[..., :count])
    return Sequences(
        spec=spec,
        observation=observation,
        is_shown=is_shown,
        memory=rows_of(state.memory, began),
        mask=mask,
        action=jnp.where(belongs, action, jnp.zeros_like(action)),
        reward=sums.reward,
        discount=sums.discount,
        arrival=before + jnp.arange(count) + sums.num_steps,
        belongs=belongs,
    )


def first_learned(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], spec: SequenceSpec, num_envs: int
) -> UInt32[Array, "*batch"]:
    """The first learned steps of the sequences that are drawn by the given env steps.

    They are these steps, but for those whose burn-in would begin before their episode: their
    sequences are learned from the episode's first step on, where the memory is zero and needs no
    burn-in. Else only one sequence in T would hold that step.

    Args:
        state: the buffer.
        env_steps: the env steps that were drawn.
        spec: which steps a sequence has.
        num_envs: number of environments.
    """
    is_shown = _back(state, env_steps, num_envs, spec.burn_in_steps).is_shown
    count = jnp.sum(is_shown, axis=-1, dtype=jnp.uint32)
    return jnp.where(count < spec.burn_in_steps, env_steps - count * num_envs, env_steps)


def drawn_alike(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], spec: SequenceSpec, num_envs: int
) -> UInt32[Array, "*batch draw"]:
    """All env steps by which the sequences of the given ones are drawn.

    Near an episode's start they are up to a burn-in's length; elsewhere the given one alone, which
    also stands in the places that are left. Some may be beyond what can be drawn yet, or no longer.

    Args:
        state: the buffer.
        env_steps: the env steps that were drawn.
        spec: which steps a sequence has.
        num_envs: number of environments.
    """
    drawn = env_steps[..., None]
    first = first_learned(state, env_steps, spec, num_envs)[..., None]
    distance = np.arange(max(spec.burn_in_steps, 1), dtype=np.uint32) * np.uint32(num_envs)
    alike = first + distance
    return jnp.where(first_learned(state, alike, spec, num_envs) == first, alike, drawn)


def _back(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], num_envs: int, count: int
) -> _Back:
    distance = np.arange(count, 0, -1, dtype=np.uint32) * np.uint32(num_envs)
    exists = env_steps[..., None] >= distance
    rows = jnp.where(exists, env_steps[..., None] - distance, 0) % state.num_rows
    breaks = ~exists | (rows_of(state.ending, rows) > 0)
    number = jnp.arange(count)
    last_break = jnp.max(jnp.where(breaks, number, -1), axis=-1, initial=-1)
    return _Back(rows, number > last_break[..., None])


def _ahead(
    state: ReplayState, env_steps: UInt32[Array, "*batch"], num_envs: int, count: int
) -> _Ahead:
    distance = np.arange(count + 1, dtype=np.uint32) * np.uint32(num_envs)
    rows = (env_steps[..., None] + distance) % state.num_rows
    ending, number = rows_of(state.ending, rows[..., :-1]), jnp.arange(count)
    last = jnp.min(jnp.where(ending > 0, number, count), axis=-1)
    ending = jnp.sum(jnp.where(number == last[..., None], ending, 0), axis=-1, dtype=jnp.uint32)
    arrived = state.num_rows + (ending - 1) % state.num_ending_rows
    is_arrival = jnp.arange(count + 1) == last[..., None] + 1
    places = jnp.where(is_arrival, arrived[..., None], rows)
    return _Ahead(rows[..., :-1], places, jnp.minimum(last + 1, count))


def _sums(
    state: ReplayState,
    ahead: _Ahead,
    belongs: Bool[Array, "*batch step"],
    each: TransitionSpec,
    scales: Scales | None,
) -> _Sums:
    """The sums as those of transitions (`read_transitions`), to the same bits."""
    count, powers = belongs.shape[-1], each.powers
    rewards, terminated = rows_of(state.reward, ahead.rows), rows_of(state.terminated, ahead.rows)
    if scales is not None:
        rewards = scales.of_reward(rewards)
    exists = jnp.arange(ahead.rows.shape[-1]) < ahead.num_steps[..., None]
    total, summed, died = jnp.zeros(belongs.shape, rewards.dtype), belongs, jnp.zeros_like(belongs)
    num_steps = jnp.zeros(belongs.shape, jnp.int32)
    for step in range(each.n_step):
        here = slice(step, step + count)
        summed = summed & exists[..., here] & ~died
        reward = jnp.where(summed, rewards[..., here], 0.0)
        total = reward if step == 0 else total + powers[step] * reward
        num_steps = num_steps + summed
        died = died | (summed & terminated[..., here])
    discount = jnp.where(died | ~belongs, 0.0, jnp.asarray(powers)[num_steps])
    return _Sums(total, discount, num_steps)


def _stacked(places: Places, count: int) -> Places:
    """For each observation of a sequence the newest ones up to it; the first of them are for the
    stacks alone."""
    if count == 1:
        return places
    assert places.is_shown is not None
    length = places.places.shape[-1] - count + 1
    window = np.arange(length)[:, None] + np.arange(count)
    return jax.tree.map(lambda part: part[..., window], places)
