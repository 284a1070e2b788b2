"""Environments of Gymnasium's `FuncEnv`, pgx, navix and gymnax, told by what they have.

None of these packages is imported here: an environment is known by its methods.
"""

import abc
import functools
import sys
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
    GENERATOR,
    FunctionalStep,
    Key,
    Mask,
    State,
)
from frankrl.environments.functional_kinds import functional_kind
from frankrl.environments.layer_colours import in_layers

Beginning = tuple[State, Any, Any]
"""A state, its observation, and the actions allowed in it or None."""
Ends = tuple[Any, Any]
"""Whether an episode has terminated, and whether it was truncated."""
_SQUARE = 16
"""Side of a square of a picture. [pixels]"""


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
        try:
            return gymnasium_space(self._observations())
        except TypeError as error:
            raise EnvironmentUnusableError(
                f"{self.env_id} has the observation space {self._observations()}: {error} is not "
                "supported; one of gymnasium.spaces is"
            ) from error

    @property
    def observation_space(self) -> spaces.Space:
        """Its observations as they are stored."""
        return stored_space(self._own_space)

    @functools.cached_property
    def _own_actions(self) -> spaces.Discrete:
        given = self._actions()
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
        return _arrays(state), in_stored_form(self._own_space, observation), _mask(mask)

    def step(self, state: State, action: Int[Array, ""], key: Key) -> tuple[State, FunctionalStep]:
        """The next state."""
        number = jnp.asarray(action, jnp.int32) + np.int32(self._own_actions.start)
        (after, observation, mask), reward, (terminated, truncated) = self._next(
            state, number, jax.random.key_data(key)
        )
        return _arrays(after), FunctionalStep(
            in_stored_form(self._own_space, observation),
            _mask(mask),
            jnp.asarray(reward).astype(jnp.float32),
            jnp.asarray(terminated).astype(jnp.bool),
            jnp.asarray(truncated).astype(jnp.bool),
        )

    @abc.abstractmethod
    def _observations(self) -> Any:
        """The observation space, of any library."""

    @abc.abstractmethod
    def _actions(self) -> Any:
        """The action space, of any library."""

    @abc.abstractmethod
    def _first(self, key: Array) -> Beginning: ...

    @abc.abstractmethod
    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]: ...


class OfGymnasium(Adapted):
    """An environment that follows `gymnasium.experimental.functional.FuncEnv`.

    All its methods get the same key in a step, as in Gymnasium's `FunctionalJaxEnv`. Where its
    `state_info` holds an `action_mask`, that says which actions are allowed.
    """

    def _observations(self) -> Any:
        return self.environment.observation_space

    def _actions(self) -> Any:
        return self.environment.action_space

    def _first(self, key: Array) -> Beginning:
        return self._shown(self.environment.initial(key), key)

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        env = self.environment
        after = env.transition(state, action, key)
        reward = env.reward(state, action, after, key)
        return self._shown(after, key), reward, (env.terminal(after, key), False)

    def _shown(self, state: State, key: Array) -> Beginning:
        info = self.environment.state_info(state) if hasattr(self.environment, "state_info") else {}
        return state, self.environment.observation(state, key), info.get("action_mask")

    @property
    def render(self) -> Callable[[State], np.ndarray] | None:
        """Its `render_image`, if it has one of its own."""
        from gymnasium.experimental.functional import FuncEnv

        found = getattr(type(self.environment), "render_image", FuncEnv.render_image)
        return None if found is FuncEnv.render_image else self._picture

    def _picture(self, state: State) -> np.ndarray:
        return np.asarray(self.environment.render_image(state, self._canvas)[1])

    @functools.cached_property
    def _canvas(self) -> Any:
        return self.environment.render_init()


class OfPgx(Adapted):
    """A game of pgx for one player."""

    def _observations(self) -> Any:
        if self.environment.num_players != 1:
            raise EnvironmentUnusableError(
                f"{self.env_id} is a game for {self.environment.num_players} players; Frank learns "
                "those for one, such as functional:pgx/minatar-breakout"
            )
        state = jax.eval_shape(
            self.environment.init, jax.random.key_data(jax.random.key(0, impl=GENERATOR))
        )
        shape, dtype = state.observation.shape, np.dtype(state.observation.dtype)
        if dtype in (np.bool_, np.uint8):
            high = np.full(shape, 1 if dtype == np.bool_ else 255, dtype)
            return spaces.Box(np.zeros(shape, dtype), high, shape, dtype.type)
        return spaces.Box(-np.inf, np.inf, shape, np.float32)

    def _actions(self) -> Any:
        state = jax.eval_shape(
            self.environment.init, jax.random.key_data(jax.random.key(0, impl=GENERATOR))
        )
        return spaces.Discrete(state.legal_action_mask.shape[0])

    def _first(self, key: Array) -> Beginning:
        return self._shown(self.environment.init(key))

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        after = self.environment.step(state, action, key)
        return self._shown(after), after.rewards[0], (after.terminated, after.truncated)

    def _shown(self, state: State) -> Beginning:
        # In MinAtar every action is always allowed.
        return state, state.observation, None if self._is_minatar else state.legal_action_mask

    @property
    def _is_minatar(self) -> bool:
        return str(self.environment.id).startswith("minatar-")

    @property
    def render(self) -> Callable[[State], np.ndarray] | None:
        """The squares of a game of MinAtar."""
        return (lambda state: _squares(state.observation)) if self._is_minatar else None

    @property
    def render_fps(self) -> int:
        """As fast as such games are shown. [pictures/s]"""
        return 20


class OfNavix(Adapted):
    """A grid of navix; it keeps its time limit itself."""

    def _observations(self) -> Any:
        return self.environment.observation_space

    def _actions(self) -> Any:
        return self.environment.action_space

    @property
    def render(self) -> Callable[[State], np.ndarray] | None:
        """Navix's own picture."""
        observations = getattr(sys.modules.get("navix"), "observations", None)
        if observations is None:
            return None
        return lambda timestep: np.asarray(observations.rgb(timestep.state), np.uint8)

    @property
    def render_fps(self) -> int:
        """As fast as such games are shown. [pictures/s]"""
        return 10

    @property
    def max_episode_steps(self) -> int | None:
        """Its `max_steps`."""
        return int(self.environment.max_steps)

    def _first(self, key: Array) -> Beginning:
        timestep = self.environment.reset(key)
        return timestep, timestep.observation, None

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        # It draws from a key in its own state.
        after = self.environment.step(state, action)
        ends = after.is_termination(), after.is_truncation()
        return (after, after.observation, None), after.reward, ends


class OfGymnax(Adapted):
    """An environment of gymnax, from 1.0 on: earlier ones merge the two ends."""

    def __post_init__(self) -> None:
        if not hasattr(self.environment, "is_truncated"):
            raise EnvironmentUnusableError(
                f"{self.env_id} merges the two ends of an episode in `done`, but the future still "
                "counts after a time limit: take gymnax 1.0 or newer, or give it a method "
                "is_truncated(state, params) and a step_env that returns `terminated` alone"
            )
        super().__post_init__()

    @functools.cached_property
    def _params(self) -> Any:
        return self.environment.default_params

    def _observations(self) -> Any:
        return self.environment.observation_space(self._params)

    def _actions(self) -> Any:
        return self.environment.action_space(self._params)

    @property
    def max_episode_steps(self) -> int | None:
        """The `max_steps_in_episode` of its parameters."""
        steps = getattr(self._params, "max_steps_in_episode", None)
        return None if steps is None else int(steps)

    def _first(self, key: Array) -> Beginning:
        observation, state = self.environment.reset_env(key, self._params)
        return state, observation, None

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        env, params = self.environment, self._params
        observation, after, reward, terminated, _ = env.step_env(key, state, action, params)
        return (after, observation, None), reward, (terminated, env.is_truncated(after, params))


class OfFrank(Adapted):
    """An environment that follows Frank's own protocol."""

    def _observations(self) -> Any:
        return self.environment.observation_space

    def _actions(self) -> Any:
        return self.environment.action_space

    @property
    def max_episode_steps(self) -> int | None:
        """Its own."""
        return self.environment.max_episode_steps

    def _first(self, key: Array) -> Beginning:
        return self.environment.reset(jax.random.wrap_key_data(key, impl=GENERATOR))

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        after, step = self.environment.step(
            state, action, jax.random.wrap_key_data(key, impl=GENERATOR)
        )
        if not (hasattr(step, "terminated") and hasattr(step, "truncated")):
            raise EnvironmentUnusableError(
                f"{self.env_id} does not tell the two ends of an episode apart: its step must "
                "return the state and a FunctionalStep, with `terminated` and `truncated`"
            )
        shown = after, step.observation, step.mask
        return shown, step.reward, (step.terminated, step.truncated)

    @property
    def render(self) -> Callable[[State], np.ndarray] | None:
        """Its own, if it draws pictures."""
        return getattr(self.environment, "render", None)


_KINDS: dict[str, type[Adapted]] = {
    "navix": OfNavix,
    "gymnax": OfGymnax,
    "pgx": OfPgx,
    "gymnasium": OfGymnasium,
    "frank": OfFrank,
}


def adapted(made: Any, env_id: str, made_by: Hashable) -> Adapted | None:
    """A functional environment as one of Frank's; None for anything else.

    Args:
        made: the environment.
        env_id: its name, for messages.
        made_by: what made it with which arguments; two are equal if this is.
    """
    kind = _KINDS.get(functional_kind(made))
    return None if kind is None else kind(env_id, made_by, made)


def _mask(mask: Any) -> Mask:
    return None if mask is None else jnp.asarray(mask).astype(jnp.bool)


def _arrays(state: State) -> State:
    """The state with arrays for plain numbers, whose dtypes do not depend on what they meet."""
    return jax.tree.map(_array, state)


def _array(leaf: Any) -> Array:
    dtype = jnp.result_type(leaf)
    is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    return leaf if is_key else jax.lax.convert_element_type(leaf, dtype)


def _squares(planes: Any) -> np.ndarray:
    picture = in_layers(np.asarray(planes))
    return picture.repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)
