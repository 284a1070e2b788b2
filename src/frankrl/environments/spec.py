"""The description of an environment, and how environments are made and closed."""

import contextlib
import threading
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Bool, Shaped

from frankrl.core.errors import EnvironmentUnusableError, nearest, warn
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments import names
from frankrl.environments.encoding import Mistake, parts_of
from frankrl.environments.leaves import (
    MASK_FIELD,
    Leaf,
    Structure,
    leaves_in,
    leaves_of,
    row_dtype,
    structure_of,
    together,
)
from frankrl.environments.masks import Entries, MaskSource, entries, mask_in, state_space

_CLOSING_SECONDS = 5.0
MAX_ACTIONS = np.iinfo(ACTION_DTYPE).max


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything that the rest of Frank knows about an environment.

    An observation has two forms. For stepping, it is a row: one array or record that is copied,
    hashed and sent in one piece. For acting and learning, it is a pytree of leaves, with the
    dicts and tuples of the environment's own observations.
    """

    env_id: str
    env_kwargs: Mapping[str, Any]
    leaves: tuple[Leaf, ...]
    """Leaves of an observation without its mask, in the order in which JAX flattens it."""
    num_actions: int
    first_action: int
    """The environment's own number for action index 0."""
    reward_threshold: float | None
    """Mean return at which the environment counts as solved; None if it names none."""
    observation_space: spaces.Space
    """The environment's own observation space."""
    state_space: spaces.Space
    """The observation space without the action mask."""
    masks_from: MaskSource
    """Where the environment provides its action mask."""
    mask_entries: Entries | None
    """Keys of state and mask in an observation; None if it holds no mask."""
    made_by: str
    """How Gymnasium makes it; two processes may register different environments by one name."""
    can_be_filmed: bool
    """Whether the environment says that it renders pictures."""
    structure: Structure = field(repr=False)
    """How the leaves form an observation."""

    @property
    def is_masked(self) -> bool:
        """Whether the environment provides action masks."""
        return self.masks_from != "nowhere"

    @cached_property
    def row_dtype(self) -> np.dtype:
        """Dtype of a row, with its mask: that of the only leaf, or a record."""
        return row_dtype(self.leaves, self.num_actions if self.is_masked else 0)

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row; () for a record."""
        return self.leaves[0].shape if self.row_dtype.names is None else ()

    def observation(self, rows: Shaped[np.ndarray, "*batch_and_row"]) -> Any:
        """The observations in rows, in the environment's own structure.

        Args:
            rows: rows with any leading axes.

        Returns:
            A pytree of views; the rows themselves if there is only one leaf.
        """
        if self.row_dtype.names is None:
            return rows
        return together(self.structure, leaves_in(rows, len(self.leaves)))

    def action_mask(
        self, rows: Shaped[np.ndarray, "*batch_and_row"]
    ) -> Bool[np.ndarray, "*batch action"] | None:
        """The action masks in rows, as a view; None without action masks."""
        return rows[MASK_FIELD] if self.is_masked else None

    def parts(self, observation: Any, info: Any, mistake: Mistake) -> tuple[list[Any], Any]:
        """The part of an observation for each leaf, and the action mask or None.

        Args:
            observation: an observation of the environment, or a batch.
            info: the info that came with it.
            mistake: makes the error from a description of what is wrong.
        """
        state, mask = observation, mask_in(info)
        if self.mask_entries is not None:
            alone, key = self.mask_entries
            if not isinstance(observation, Mapping):
                kind = type(observation).__name__
                raise mistake(f"an observation that is no dict but {kind}")
            mask = observation.get(key)
            if len(alone) == 1:
                (name,) = alone
                if name not in observation:
                    raise mistake(f"an observation without the entry {name!r}")
                state = observation[name]
        if isinstance(self.structure, int):
            return [state], mask
        return list(parts_of(self.structure, state, mistake)), mask

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions if known, else their numbers."""
        return names.action_names(self.env_id, self.num_actions)

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components of all leaves if known, else their numbers."""
        return tuple(name for leaf in self.leaves for name in self.leaf_component_names(leaf))

    def leaf_component_names(self, leaf: Leaf) -> tuple[str, ...]:
        """Names of the components of a leaf if known, else their numbers."""
        return names.component_names(self.env_id, leaf)

    def value_name(self, leaf: Leaf, number: int) -> str:
        """What a number of a `Discrete` leaf means if that is known, else an empty string."""
        return names.value_name(self.env_id, self.env_kwargs, leaf, number)


def make_environment(
    env_id: str, env_kwargs: Mapping[str, Any], render_mode: str | None = None
) -> gymnasium.Env:
    """Make a Gymnasium environment.

    Args:
        env_id: as for `gymnasium.make`; `module:EnvId` imports the module first.
        env_kwargs: passed on to `gymnasium.make`.
        render_mode: only for films, because rendering may change an environment.

    Raises:
        EnvironmentUnusableError: it does not exist, cannot be made or lacks a package.
    """
    reserved = sorted({"id", "render_mode", "disable_env_checker"} & set(env_kwargs))
    if reserved:
        raise EnvironmentUnusableError(
            f"env_kwargs cannot hold {', '.join(reserved)}: Frank decides that itself"
        )
    # An environment need not take `render_mode`, so it is passed only when needed.
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
    """Close environments; errors are ignored, and one that hangs is abandoned."""

    def close() -> None:
        for env in envs:
            with contextlib.suppress(Exception):
                env.close()

    # A daemon thread, because an environment may hang.
    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(_CLOSING_SECONDS)
    if thread.is_alive():
        warn(f"an environment has not closed within {_CLOSING_SECONDS:g} s; it is abandoned")


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
    """Make an environment once and describe it.

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
    return EnvironmentSpec(
        env_id=env_id,
        env_kwargs=dict(env_kwargs),
        leaves=leaves_of(states, env_id),
        num_actions=num_actions,
        first_action=int(actions.start),
        reward_threshold=env.spec.reward_threshold if env.spec else None,
        observation_space=observations,
        state_space=states,
        masks_from="observation" if found else _masks_of_info(env),
        mask_entries=found,
        made_by=_made_by(env.spec),
        can_be_filmed="rgb_array" in (env.metadata.get("render_modes") or ()),
        structure=structure_of(states),
    )


def _masks_of_info(env: gymnasium.Env) -> MaskSource:
    """Whether the environment's first info holds a mask; its spaces do not show it."""
    try:
        _, info = env.reset(seed=0)
    except (Exception, SystemExit):
        # It will fail again in the run, which reports the error with its place.
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
