"""The environments of a run as one pure function: step all, begin the next episodes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int32, PyTree, UInt32

from frankrl.core.device_random import episode_seeds
from frankrl.core.random import RESET_SEEDS, Use
from frankrl.core.types import Array, Observation
from frankrl.environments import DIGEST_BYTES, EnvironmentLog, EnvironmentSpec, Leaf
from frankrl.environments.functional.protocol import (
    FunctionalEnvironment,
    FunctionalStep,
    State,
    episode_key,
    step_key,
)
from frankrl.experience.device.digest import as_bytes, bits_of, folded, words_of

LANES = "lane"
"""Name of the axis of runs that are one program."""


class EnvironmentStates(NamedTuple):
    """Where each environment of a run stands; all arrays have an axis for environments in front."""

    state: PyTree[Array]
    """The environment's own state."""
    observation: Observation
    """What it shows now, as it is stored."""
    mask: Bool[Array, "env action"] | None
    episode: UInt32[Array, " env"]
    """Number of the running episode, from 0."""
    episode_seed: UInt32[Array, " env"]
    episode_return: Float[Array, " env"]
    """Undiscounted sum of rewards so far."""
    length: Int32[Array, " env"]
    """Env steps of the episode so far."""
    digest: UInt32[Array, "env lane"]
    """Checksum of all that the environment has shown and done since the run began."""
    memory: Float[Array, "env unit"] | None
    """What the network remembers of the episode before `observation`; zeros at its start. None
    without a memory."""


class _Start(NamedTuple):
    """Where the next episode of each environment begins; the fields are those of the states."""

    state: PyTree[Array]
    observation: Observation
    mask: Bool[Array, "env action"] | None
    episode_seed: UInt32[Array, " env"]


class DeviceStep(NamedTuple):
    """One step of all environments; several steps have an axis in front."""

    observation: Observation
    """State in which the action was taken, s."""
    mask: Bool[Array, "env action"] | None
    action: UInt32[Array, " env"]
    """Action index from 0, a."""
    reward: Float[Array, " env"]
    next_observation: Observation
    """State arrived at, s′; at an episode's end its true last state, never the reset one."""
    next_mask: Bool[Array, "env action"] | None
    terminated: Bool[Array, " env"]
    truncated: Bool[Array, " env"]
    episode_return: Float[Array, " env"]
    """Of the episode up to here."""
    length: Int32[Array, " env"]
    """Env steps of the episode if it ended, else 0."""
    unfit: Bool[Array, " env"]
    """Whether the step, or the reset after it, gave what no environment may give: a reward or an
    observation that is not finite or not in its space, or a mask without any action."""
    memory: Float[Array, "env unit"] | None
    """What the network remembered before `observation`; None without a memory."""


@dataclass(frozen=True)
class DeviceEnvironments:
    """Steps functional environments; holds no arrays, and compares by value if they do."""

    functional: FunctionalEnvironment
    num_envs: int
    leaves: tuple[Leaf, ...]
    structure: Any
    """The tree structure of an observation in JAX's words."""
    first_action: int
    is_masked: bool
    memory_units: int
    """Numbers that the network remembers of an episode; 0 without a memory."""
    in_lanes: bool = False
    """Whether the runs of several seeds are one program, vmapped along the axis `LANES`."""

    @classmethod
    def of(
        cls,
        functional: FunctionalEnvironment,
        spec: EnvironmentSpec,
        num_envs: int,
        memory_units: int,
    ) -> "DeviceEnvironments":
        """The environments of a run, whose network remembers so many numbers of an episode."""
        rows = np.zeros((1, *spec.row_shape), spec.row_dtype)
        structure = jax.tree.structure(spec.observation(rows))
        return cls(
            functional=functional,
            num_envs=num_envs,
            leaves=spec.leaves,
            structure=structure,
            first_action=spec.first_action,
            is_masked=spec.is_masked,
            memory_units=memory_units,
        )

    def begin(self, seed: UInt32[Array, "2"]) -> EnvironmentStates:
        """All environments at the start of their first episode."""
        zeros = jnp.zeros(self.num_envs, jnp.uint32)
        start = self._reset(seed, zeros)
        digest = jnp.zeros((self.num_envs, 2), jnp.uint32)
        return EnvironmentStates(
            state=start.state,
            observation=start.observation,
            mask=start.mask,
            episode=zeros,
            episode_seed=start.episode_seed,
            episode_return=jnp.zeros(self.num_envs, jnp.float32),
            length=jnp.zeros(self.num_envs, jnp.int32),
            digest=folded(digest, words_of(start.observation, start.mask)),
            memory=self.initial_memory(),
        )

    def initial_memory(self) -> Float[Array, "env unit"] | None:
        """The memory where episodes begin; None without one."""
        if not self.memory_units:
            return None
        return jnp.zeros((self.num_envs, self.memory_units), jnp.float32)

    def _reset(self, seed: UInt32[Array, "2"], episode: UInt32[Array, " env"]) -> _Start:
        most = len(RESET_SEEDS[Use.TRAINING_RESET])
        seeds = episode_seeds(seed, Use.TRAINING_RESET, episode, most)
        state, observation, mask = self.first(seeds)
        return _Start(state, observation, mask, seeds)

    def first(
        self, seed: UInt32[Array, " row"]
    ) -> tuple[State, Observation, Bool[Array, "row action"] | None]:
        """The first state of some episodes, and what it shows as it is stored.

        Args:
            seed: the reset seed of each.
        """
        key = jax.vmap(lambda one: step_key(episode_key(one), 0))(seed)
        state, observation, mask = jax.vmap(self.functional.reset)(key)
        return state, self._stored(observation), mask if self.is_masked else None

    def next(
        self,
        state: State,
        action: UInt32[Array, " row"],
        seed: UInt32[Array, " row"],
        number: Int32[Array, " row"],
    ) -> tuple[State, FunctionalStep]:
        """The next state of some episodes, and what it shows as it is stored; nothing is reset.

        Args:
            state: of each.
            action: action index from 0 of each.
            seed: the reset seed of each.
            number: of the step in its episode, from 1.
        """

        def one(own: Any, action: Array, seed: Array, number: Array) -> Any:
            return self.functional.step(own, action, step_key(episode_key(seed), number))

        given = action.astype(jnp.int32) + self.first_action
        after, shown = jax.vmap(one)(state, given, seed, number)
        mask = shown.mask if self.is_masked else None
        if mask is not None:
            # Where an episode is over nothing is chosen, so a mask may allow nothing. As on the
            # host all actions are allowed then: after a time limit the future counts.
            is_over = jnp.logical_or(shown.terminated, shown.truncated)
            mask |= (is_over & ~jnp.any(mask, axis=1))[:, None]
        return after, shown._replace(
            observation=self._stored(shown.observation),
            mask=mask,
            reward=shown.reward.astype(jnp.float32),
        )

    def _stored(self, observation: Observation) -> Observation:
        """Observations of the environment in the form in which Frank keeps them."""
        parts = jax.tree.leaves(observation)
        leaves = [_stored_leaf(leaf, part) for leaf, part in zip(self.leaves, parts, strict=True)]
        return jax.tree.unflatten(self.structure, leaves)

    def step(
        self,
        seed: UInt32[Array, "2"],
        states: EnvironmentStates,
        action: UInt32[Array, " env"],
        memory: Float[Array, "env unit"] | None,
    ) -> tuple[EnvironmentStates, DeviceStep]:
        """One step of every environment; those that ended begin their next episode.

        Args:
            seed: result of `seed_words`.
            states: where they stand.
            action: action index from 0 of each.
            memory: what the network remembers after the observation of `states`.
        """
        number = states.length + 1
        state, shown = self.next(states.state, action, states.episode_seed, number)
        reward, arrived = shown.reward, shown.observation
        ended = jnp.logical_or(shown.terminated, shown.truncated)
        step = DeviceStep(
            observation=states.observation,
            mask=states.mask,
            action=action,
            reward=reward,
            next_observation=arrived,
            next_mask=shown.mask,
            terminated=shown.terminated,
            truncated=shown.truncated,
            episode_return=states.episode_return + reward,
            length=jnp.where(ended, number, 0),
            unfit=~jnp.isfinite(reward) | self.unfit(arrived, shown.mask, ended),
            memory=states.memory,
        )
        after = EnvironmentStates(
            state=state,
            observation=arrived,
            mask=step.next_mask,
            episode=states.episode + ended,
            episode_seed=states.episode_seed,
            episode_return=jnp.where(ended, 0.0, step.episode_return),
            length=jnp.where(ended, 0, number),
            digest=folded(states.digest, _words_of(step)),
            memory=None if memory is None else _where(ended, jnp.zeros(()), memory),
        )
        after, unfit = self._begun(seed, after, ended, step.unfit)
        return after, step._replace(unfit=unfit)

    def any_of(self, flags: Bool[Array, " env"]) -> Bool[Array, ""]:
        """Whether any flag is set, in any lane: so what depends on it stays a branch there."""
        found = jnp.any(flags)
        if not self.in_lanes:
            return found
        return jax.lax.pmax(found.astype(jnp.int32), LANES) > 0

    def unfit(
        self,
        observation: Observation,
        mask: Bool[Array, "env action"] | None,
        ended: Bool[Array, " env"],
    ) -> Bool[Array, " env"]:
        """Which of them show what no environment may show.

        Args:
            observation: as it is stored.
            mask: of allowed actions.
            ended: where the episode is over, so that no action need be allowed.
        """
        unfit = jnp.zeros_like(ended)
        for leaf, part in zip(self.leaves, jax.tree.leaves(observation), strict=True):
            if leaf.num_values is not None:
                wrong = (part < 0) | (part >= np.reshape(leaf.num_values, leaf.shape))
            elif leaf.dtype == np.float32:
                wrong = ~jnp.isfinite(part)
            else:
                continue
            unfit |= jnp.any(wrong.reshape(len(wrong), -1), axis=1)
        if mask is not None:
            unfit |= ~jnp.any(mask, axis=1) & ~ended
        return unfit

    def _begun(
        self,
        seed: UInt32[Array, "2"],
        states: EnvironmentStates,
        ended: Bool[Array, " env"],
        unfit: Bool[Array, " env"],
    ) -> tuple[EnvironmentStates, Bool[Array, " env"]]:
        """The next episode of those that ended, and what is unfit with it."""

        def begin(states: EnvironmentStates) -> tuple[EnvironmentStates, Bool[Array, " env"]]:
            start = self._reset(seed, states.episode)
            digest = folded(states.digest, words_of(start.observation, start.mask))

            def begun(first: PyTree, now: PyTree) -> PyTree:
                return jax.tree.map(lambda one, other: _where(ended, one, other), first, now)

            after = states._replace(
                state=begun(start.state, states.state),
                observation=begun(start.observation, states.observation),
                mask=begun(start.mask, states.mask),
                episode_seed=begun(start.episode_seed, states.episode_seed),
                digest=begun(digest, states.digest),
            )
            wrong = ended & self.unfit(start.observation, start.mask, jnp.zeros_like(ended))
            return after, unfit | wrong

        return jax.lax.cond(self.any_of(ended), begin, lambda states: (states, unfit), states)


def logs(states: EnvironmentStates) -> list[EnvironmentLog]:
    """What a checkpoint says of each environment besides its state: no actions are repeated."""
    nothing = np.zeros(0, np.uint16)
    episodes = np.asarray(states.episode).tolist()
    return [
        EnvironmentLog(number, nothing, bytes(DIGEST_BYTES), digest)
        for number, digest in zip(episodes, as_bytes(states.digest), strict=True)
    ]


def _where(ended: Bool[Array, " env"], one: Array, other: Array) -> Array:
    return jnp.where(ended.reshape(-1, *(1,) * (other.ndim - 1)), one, other)


def _words_of(step: DeviceStep) -> UInt32[Array, "env word"]:
    """All that a step has shown and done, as words of the checksum."""
    flags = step.terminated.astype(jnp.uint32) + 2 * step.truncated.astype(jnp.uint32)
    done = flags + 4 * step.action.astype(jnp.uint32)
    shown = words_of(step.next_observation, step.next_mask)
    return jnp.concatenate([shown, jnp.stack([bits_of(step.reward), done], axis=1)], axis=1)


def _stored_leaf(leaf: Leaf, part: Array) -> Array:
    """A leaf as it is stored: numbered values from 0."""
    if leaf.first_values is not None:
        part = part - np.reshape(leaf.first_values, leaf.shape)
    return part.astype(leaf.dtype)
