"""Masks of a functional environment, where the description of the environment says they are."""

from dataclasses import dataclass

import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Int

from frankrl.core.types import Array, Observation
from frankrl.environments.functional.protocol import (
    Around,
    FunctionalStep,
    Key,
    Mask,
    State,
)
from frankrl.environments.masks import Entries, state_space


@dataclass(frozen=True)
class MaskInObservation(Around):
    """An environment whose observations hold the action mask, apart from it."""

    entries: Entries

    @property
    def observation_space(self) -> spaces.Space:
        """Its space without the mask."""
        return state_space(self.environment.observation_space, self.entries)

    @property
    def max_episode_steps(self) -> int | None:
        """That of the environment."""
        return self.environment.max_episode_steps

    def reset(self, key: Key) -> tuple[State, Observation, Mask]:
        """The first state of an episode."""
        state, observation, _ = self.environment.reset(key)
        return state, *self._apart(observation)

    def step(self, state: State, action: Int[Array, ""], key: Key) -> tuple[State, FunctionalStep]:
        """The next state."""
        after, step = self.environment.step(state, action, key)
        observation, mask = self._apart(step.observation)
        return after, step._replace(observation=observation, mask=mask)

    def _apart(self, observation: Observation) -> tuple[Observation, Mask]:
        mask = jnp.ravel(observation[self.entries.mask]).astype(jnp.bool)
        names = self.entries.state
        if len(names) == 1:
            return observation[names[0]], mask
        return {name: observation[name] for name in names}, mask


@dataclass(frozen=True)
class WithoutMask(Around):
    """An environment whose action masks are not used."""

    @property
    def max_episode_steps(self) -> int | None:
        """That of the environment."""
        return self.environment.max_episode_steps

    def reset(self, key: Key) -> tuple[State, Observation, Mask]:
        """The first state of an episode."""
        state, observation, _ = self.environment.reset(key)
        return state, observation, None

    def step(self, state: State, action: Int[Array, ""], key: Key) -> tuple[State, FunctionalStep]:
        """The next state."""
        after, step = self.environment.step(state, action, key)
        return after, step._replace(mask=None)
