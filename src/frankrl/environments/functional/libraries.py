"""Environments of Gymnasium's `FuncEnv`, pgx, navix and gymnax, told by what they have.

None of these packages is imported here: an environment is known by its methods.
"""

import functools
import sys
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.types import Array
from frankrl.environments.functional.adapted import Adapted, Beginning, Ends
from frankrl.environments.functional.protocol import GENERATOR, State
from frankrl.environments.functional_kinds import functional_kind
from frankrl.environments.layer_colours import in_layers

_SQUARE = 16
"""Side of a square of a picture. [pixels]"""


class OfGymnasium(Adapted):
    """An environment that follows `gymnasium.experimental.functional.FuncEnv`.

    All its methods get the same key in a step, as in Gymnasium's `FunctionalJaxEnv`. Where its
    `state_info` holds an `action_mask`, that says which actions are allowed.
    """

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
        observation = self._state_shapes.observation
        shape, dtype = observation.shape, np.dtype(observation.dtype)
        if dtype in (np.bool_, np.uint8):
            high = np.full(shape, 1 if dtype == np.bool_ else 255, dtype)
            return spaces.Box(np.zeros(shape, dtype), high, shape, dtype.type)
        return spaces.Box(-np.inf, np.inf, shape, np.float32)

    def _actions(self) -> Any:
        return spaces.Discrete(self._state_shapes.legal_action_mask.shape[0])

    @functools.cached_property
    def _state_shapes(self) -> Any:
        key = jax.random.key_data(jax.random.key(0, impl=GENERATOR))
        return jax.eval_shape(self.environment.init, key)

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

    def _first(self, key: Array) -> Beginning:
        first = self.environment.reset(jax.random.wrap_key_data(key, impl=GENERATOR))
        if not (isinstance(first, tuple) and len(first) == 3):
            raise EnvironmentUnusableError(
                f"{self.env_id} must return from its reset three things: the state, the "
                "observation, and the mask of allowed actions or None"
            )
        return first

    def _next(self, state: State, action: Array, key: Array) -> tuple[Beginning, Any, Ends]:
        stepped = self.environment.step(
            state, action, jax.random.wrap_key_data(key, impl=GENERATOR)
        )
        wanted = "its step must return two things: the state, and a FunctionalStep"
        if not (isinstance(stepped, tuple) and len(stepped) == 2):
            raise EnvironmentUnusableError(f"{self.env_id} returns something else: {wanted}")
        after, step = stepped
        if not (hasattr(step, "terminated") and hasattr(step, "truncated")):
            raise EnvironmentUnusableError(
                f"{self.env_id} does not tell the two ends of an episode apart: {wanted} with "
                "`terminated` and `truncated`"
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


def _squares(planes: Any) -> np.ndarray:
    picture = in_layers(np.asarray(planes))
    return picture.repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)
