"""What an environment is, and how one is made."""

import contextlib
import math
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from frankrl.core.errors import EnvironmentUnusableError, nearest, warn
from frankrl.core.types import ACTION_DTYPE, Scaling
from frankrl.environments.encoding import (
    Encode,
    MaskSource,
    encoder,
    entries,
    mask_in,
    state_encoding,
    state_space,
)

_CLOSING_SECONDS = 5.0
MAX_ACTIONS = np.iinfo(ACTION_DTYPE).max

_ACTIONS = {
    "LunarLander": ("do nothing", "fire left", "fire main", "fire right"),
    "CartPole": ("push left", "push right"),
    "Acrobot": ("torque -1", "no torque", "torque +1"),
    "MountainCar": ("accelerate left", "do nothing", "accelerate right"),
    "NineSquares": ("up", "right", "down", "left"),
    "FrozenLake": ("left", "down", "right", "up"),
    "FrozenLake8x8": ("left", "down", "right", "up"),
    "CliffWalking": ("up", "right", "down", "left"),
    "Taxi": ("south", "north", "east", "west", "pick up", "drop off"),
}


_COMPONENTS = {
    "LunarLander": (
        "x",
        "y",
        "speed in x",
        "speed in y",
        "angle",
        "angular speed",
        "left leg down",
        "right leg down",
    ),
    "CartPole": ("position", "speed", "angle", "angular speed"),
    "Acrobot": ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "speed of θ₁", "speed of θ₂"),
    "MountainCar": ("position", "speed"),
}


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything the rest of Frank knows of an environment."""

    env_id: str
    env_kwargs: Mapping[str, Any]
    state_shape: tuple[int, ...]
    """Of an observation as the network sees it, without the mask."""
    observation_dtype: np.dtype
    """How an observation is stored: bytes stay bytes, every other number is float32."""
    observation_scale: float
    """Factor that brings a stored observation to the network's range."""
    num_actions: int
    first_action: int
    """What the environment calls action index 0."""
    reward_threshold: float | None
    """Mean return at which the environment counts as solved, where it names one."""
    observation_space: spaces.Space
    """The environment's own."""
    state_space: spaces.Space
    """Likewise, without the mask where that is a part of it."""
    masks_from: MaskSource
    """Where it says which actions are allowed."""
    made_by: str
    """What Gymnasium makes it from: two processes may know different ones by one name."""
    encode: Encode = field(repr=False, compare=False)
    """From the environment's own observation and its info to an array of `state_shape`, and
    to the action mask as it was given, None if it was not."""

    @property
    def mask_size(self) -> int:
        """Entries of the mask that is stored behind a state; 0 if all actions are allowed."""
        return 0 if self.masks_from == "nowhere" else self.num_actions

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """How an observation is stored: with its mask behind it where there is one."""
        if not self.mask_size:
            return self.state_shape
        return (math.prod(self.state_shape) + self.mask_size,)

    def scaling(self, *, to_bounds: bool) -> Scaling:
        """How the network scales a stored observation.

        Args:
            to_bounds: bring every component with finite bounds to -1 … 1.
        """
        space = self.state_space
        if not to_bounds or not isinstance(space, spaces.Box):
            return Scaling(factor=(self.observation_scale,))
        low, high = (part.astype(np.float64).ravel() for part in (space.low, space.high))
        bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
        span = np.where(bounded, high - low, 1.0)
        offset = np.where(bounded, low + span / 2, 0.0)
        factor = np.where(bounded, 2 / span, self.observation_scale)
        return Scaling(tuple(offset.tolist()), tuple(factor.tolist()))

    @property
    def is_array(self) -> bool:
        """Whether the environment gives arrays itself, so that nothing has to be flattened."""
        return isinstance(self.observation_space, spaces.Box)

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions, where known; else their numbers."""
        names = _ACTIONS.get(self._family, ())
        if len(names) == self.num_actions:
            return names
        return tuple(f"action {number}" for number in range(self.num_actions))

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of a state's components, where known; else their numbers."""
        size = math.prod(self.state_shape)
        names = _COMPONENTS.get(self._family, ())
        return names if len(names) == size else tuple(f"s[{number}]" for number in range(size))

    @property
    def _family(self) -> str:
        return self.env_id.rsplit(":")[-1].rsplit("/")[-1].split("-")[0]


def make_environment(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None = None
) -> gymnasium.Env:
    """One Gymnasium environment.

    Args:
        env_id: as for `gymnasium.make`; `module:EnvId` imports the module first.
        env_kwargs: passed on to `gymnasium.make`.
        render_mode: only for filming: rendering may add to an environment's world.

    Raises:
        EnvironmentUnusableError: it does not exist, cannot be made or lacks a package.
    """
    reserved = sorted({"id", "render_mode", "disable_env_checker"} & set(env_kwargs))
    if reserved:
        raise EnvironmentUnusableError(
            f"env_kwargs cannot hold {', '.join(reserved)}: Frank decides that itself"
        )
    # An environment need not know of `render_mode`, so it is named only when wanted.
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.make(env_id, disable_env_checker=True, **rendering, **env_kwargs)
    except gymnasium.error.DependencyNotInstalled as error:
        if "box2d" in str(error).lower() or "swig" in str(error).lower():
            raise EnvironmentUnusableError(
                f"{env_id} needs Box2D, which is not installed; "
                "install it with: pip install 'gymnasium[box2d]'"
            ) from error
        raise EnvironmentUnusableError(f"{env_id} cannot be made: {_one_line(error)}") from error
    except (gymnasium.error.UnregisteredEnv, gymnasium.error.Error) as error:
        known = list(gymnasium.registry)
        raise EnvironmentUnusableError(
            f"unknown environment {env_id!r}{nearest(env_id, known)} ({_one_line(error)}; "
            "third-party ones are named module:EnvId)"
        ) from error
    except ModuleNotFoundError as error:
        raise EnvironmentUnusableError(_missing_module(env_id, error)) from error
    except Exception as error:
        raise EnvironmentUnusableError(
            f"{env_id} cannot be made with {dict(env_kwargs)}: "
            f"{type(error).__name__}: {_one_line(error)}"
        ) from error


def close_environments(envs: Iterable[gymnasium.Env]) -> None:
    """Close environments; those that fail to, or take too long over it, are let go."""

    def close() -> None:
        for env in envs:
            with contextlib.suppress(Exception):
                env.close()

    # A thread that nobody waits for at the end: an environment may hang for ever.
    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(_CLOSING_SECONDS)
    if thread.is_alive():
        warn(f"an environment has not closed within {_CLOSING_SECONDS:g} s; it is let go")


def _missing_module(env_id: str, error: ModuleNotFoundError) -> str:
    module = env_id.rpartition(":")[0]
    missing = error.name or getattr(error.__cause__ or error.__context__, "name", None)
    if module and missing in (None, module):
        return (
            f"environment {env_id!r}: there is no module {module!r} to import; "
            "install it, or run from the folder that holds it with PYTHONPATH=."
        )
    return f"{env_id} needs the Python module {missing!r}, which is not installed"


def describe(env_id: str, env_kwargs: Mapping[str, Any]) -> EnvironmentSpec:
    """Make an environment once and write down what it is.

    Raises:
        EnvironmentUnusableError: it cannot be made, or DQN cannot act in it.
    """
    env = make_environment(env_id, env_kwargs)
    try:
        return _spec_of(env, env_id, env_kwargs)
    finally:
        close_environments([env])


def _spec_of(env: gymnasium.Env, env_id: str, env_kwargs: Mapping[str, Any]) -> EnvironmentSpec:
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, spaces.Discrete):
        raise EnvironmentUnusableError(
            f"{env_id} has the action space {actions}; DQN chooses among numbered actions, "
            "so it needs a Discrete one (continuous and multi-discrete ones are not supported)"
        )
    if actions.n > MAX_ACTIONS:
        raise EnvironmentUnusableError(
            f"{env_id} has {actions.n:,} actions; at most {MAX_ACTIONS:,} are supported"
        )
    num_actions = int(actions.n)
    found = entries(observations, num_actions, env_id)
    states = state_space(observations, found)
    shape, dtype, scale, encode_state = state_encoding(states, env_id)
    return EnvironmentSpec(
        env_id=env_id,
        env_kwargs=dict(env_kwargs),
        state_shape=shape,
        observation_dtype=dtype,
        observation_scale=scale,
        num_actions=num_actions,
        first_action=int(actions.start),
        reward_threshold=env.spec.reward_threshold if env.spec else None,
        observation_space=observations,
        state_space=states,
        masks_from="observation" if found else _masks_of_info(env),
        made_by=_made_by(env.spec),
        encode=encoder(encode_state, found),
    )


def _masks_of_info(env: gymnasium.Env) -> MaskSource:
    """Whether the environment's first info holds a mask; no space tells it."""
    try:
        _, info = env.reset(seed=0)
    except (Exception, SystemExit):
        # It will fail again where that is told, with its place.
        return "nowhere"
    return "nowhere" if mask_in(info) is None else "info"


def _made_by(spec: EnvSpec | None) -> str:
    if spec is None:
        return "unknown"
    maker = spec.entry_point
    if callable(maker):
        maker = f"{getattr(maker, '__module__', '')}:{getattr(maker, '__qualname__', '')}"
    return f"{maker} {spec.kwargs} {spec.max_episode_steps} {spec.additional_wrappers}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
