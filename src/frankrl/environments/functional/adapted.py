"""What an environment of another library needs to be one of Frank's functional environments."""

import abc
import functools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Int

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.types import Array, Observation
from frankrl.environments.functional.leaf_form import (
    gymnasium_space,
    in_stored_form,
    stored_space,
)
from frankrl.environments.functional.protocol import (
    FRAMES_PER_SECOND,
    FunctionalStep,
    Key,
    Mask,
    State,
)

Beginning = tuple[State, Any, Any]
"""A state, its observation, and the actions allowed in it or None."""
Ends = tuple[Any, Any]
"""Whether an episode has terminated, and whether it was truncated."""


@dataclass(frozen=True)
class Adapted(abc.ABC):
    """An environment of another library as one of Frank's.

    Two are equal if they were made by the same code with the same arguments.
    """

    env_id: str
    """Its name, for messages."""
    made_by: Hashable
    """What made it."""
    environment: Any = field(compare=False, repr=False)
    """The environment of the other library."""

    def __post_init__(self) -> None:
        # Now, because other libraries compute them with JAX, which a compiled call would trace.
        _ = self._own_space, self._own_actions

    @functools.cached_property
    def _own_space(self) -> spaces.Space:
        given = self._declared("observation_space", self._observations)
        try:
            return gymnasium_space(given)
        except TypeError as error:
            raise EnvironmentUnusableError(
                f"{self.env_id} has the observation space {given}: {error} is not supported; one "
                "of gymnasium.spaces is"
            ) from error

    @property
    def observation_space(self) -> spaces.Space:
        """Its observations as they are stored."""
        return stored_space(self._own_space)

    @functools.cached_property
    def _own_actions(self) -> spaces.Discrete:
        given = self._declared("action_space", self._actions)
        if hasattr(given, "n") and not getattr(given, "shape", ()):
            return spaces.Discrete(int(given.n), start=int(getattr(given, "start", 0)))
        raise EnvironmentUnusableError(
            f"{self.env_id} has the action space {given}; DQN chooses among numbered actions, so "
            "it needs a Discrete one"
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """Its actions, numbered from 0."""
        return spaces.Discrete(int(self._own_actions.n))

    @property
    def reward_threshold(self) -> float | None:
        """Its attribute of this name, if it has one."""
        return getattr(self.environment, "reward_threshold", None)

    @property
    def max_episode_steps(self) -> int | None:
        """The time limit that it keeps itself, if it is known."""
        return None

    @property
    def render_fps(self) -> int:
        """Its attribute of this name, if it has one. [pictures/s]"""
        return getattr(self.environment, "render_fps", FRAMES_PER_SECOND)

    @property
    def mirror_state(self) -> Callable[[int, State], State] | None:
        """Its method of this name, if it has one."""
        return getattr(self.environment, "mirror_state", None)

    def reset(self, key: Key) -> tuple[State, Observation, Mask]:
        """The first state of an episode."""
        state, observation, mask = self._first(jax.random.key_data(key))
        return _arrays(state), self._stored(observation), _mask(mask)

    def step(self, state: State, action: Int[Array, ""], key: Key) -> tuple[State, FunctionalStep]:
        """The next state."""
        number = jnp.asarray(action, jnp.int32) + np.int32(self._own_actions.start)
        (after, observation, mask), reward, (terminated, truncated) = self._next(
            state, number, jax.random.key_data(key)
        )
        return _arrays(after), FunctionalStep(
            self._stored(observation),
            _mask(mask),
            jnp.asarray(reward).astype(jnp.float32),
            jnp.asarray(terminated).astype(jnp.bool),
            jnp.asarray(truncated).astype(jnp.bool),
        )

    def _declared(self, name: str, get: Callable[[], Any]) -> Any:
        try:
            return get()
        except AttributeError as error:
            if error.name != name:
                raise
            raise EnvironmentUnusableError(f"{self.env_id} has no {name}") from error

    def _stored(self, observation: Any) -> Observation:
        try:
            return in_stored_form(self._own_space, observation)
        except TypeError as error:
            raise EnvironmentUnusableError(
                f"{self.env_id} shows an observation whose {error}: give the numbers that its "
                "observation_space names, or another space"
            ) from error

    def _observations(self) -> Any:
        """The observation space, of any library."""
        return self.environment.observation_space

    def _actions(self) -> Any:
        """The action space, of any library."""
        return self.environment.action_space

    @abc.abstractmethod
    def _first(self, key: Array) -> Beginning: ...

    @abc.abstractmethod
    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]: ...


def _mask(mask: Any) -> Mask:
    return None if mask is None else jnp.asarray(mask).astype(jnp.bool)


def _arrays(state: State) -> State:
    """The state with arrays for plain numbers, whose dtypes do not depend on what they meet."""
    return jax.tree.map(_array, state)


def _array(leaf: Any) -> Array:
    dtype = jnp.result_type(leaf)
    is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    return leaf if is_key else jax.lax.convert_element_type(leaf, dtype)
