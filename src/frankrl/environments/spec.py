"""What an environment is, and how one is made."""

import contextlib
import math
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from frankrl.errors import EnvironmentUnusableError, nearest, warn
from frankrl.records import ACTION_DTYPE, Scaling

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
    observation_shape: tuple[int, ...]
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
    made_by: str
    """What Gymnasium makes it from: two processes may know different ones by one name."""
    encode: Callable[[Any], np.ndarray] = field(repr=False, compare=False)
    """From the environment's own observation to an array of `observation_shape`."""

    def scaling(self, *, to_bounds: bool) -> Scaling:
        """How the network scales a stored observation.

        Args:
            to_bounds: bring every component with finite bounds to -1 … 1.
        """
        space = self.observation_space
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
        """Names of an observation's components, where known; else their numbers."""
        size = math.prod(self.observation_shape)
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
    shape, dtype, scale, encode = _observation(observations, env_id)
    return EnvironmentSpec(
        env_id=env_id,
        env_kwargs=dict(env_kwargs),
        observation_shape=shape,
        observation_dtype=dtype,
        observation_scale=scale,
        num_actions=int(actions.n),
        first_action=int(actions.start),
        reward_threshold=env.spec.reward_threshold if env.spec else None,
        observation_space=observations,
        made_by=_made_by(env.spec),
        encode=encode,
    )


def _made_by(spec: EnvSpec | None) -> str:
    if spec is None:
        return "unknown"
    maker = spec.entry_point
    if callable(maker):
        maker = f"{getattr(maker, '__module__', '')}:{getattr(maker, '__qualname__', '')}"
    return f"{maker} {spec.kwargs} {spec.max_episode_steps} {spec.additional_wrappers}"


def _observation(
    space: spaces.Space, env_id: str
) -> tuple[tuple[int, ...], np.dtype, float, Callable[[Any], np.ndarray]]:
    """Shape, stored dtype, scale and encoder of an observation space."""
    float32, byte = np.dtype(np.float32), np.dtype(np.uint8)
    if isinstance(space, spaces.Box):
        if space.dtype == byte:
            full = bool(np.all(space.high == 255) and np.all(space.low == 0))
            return space.shape, byte, 1 / 255 if full else 1.0, np.asarray
        return space.shape, float32, 1.0, np.asarray
    zero_one = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    try:
        flat = spaces.flatten_space(space)
    except NotImplementedError as error:
        raise EnvironmentUnusableError(
            f"{env_id} has the observation space {space}, which Gymnasium cannot flatten"
        ) from error
    if not isinstance(flat, spaces.Box):
        raise EnvironmentUnusableError(
            f"{env_id} has the observation space {space}, which does not flatten to numbers "
            "of a fixed shape"
        )
    dtype = byte if isinstance(space, zero_one) else float32

    def encode(given: Any) -> np.ndarray:
        if not space.contains(given):
            raise ValueError(f"{given!r} does not lie in {space}")
        return np.asarray(spaces.flatten(space, given))

    return flat.shape, dtype, 1.0, encode


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
