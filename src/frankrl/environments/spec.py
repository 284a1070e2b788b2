"""The description of an environment."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Bool, Shaped

from frankrl.config import EvaluationSettings, Settings
from frankrl.core.errors import EnvironmentUnusableError, SettingError, warn
from frankrl.core.types import ACTION_DTYPE
from frankrl.environments import names
from frankrl.environments.encoding import Mistake, parts_of
from frankrl.environments.known_symmetries import declared_symmetries
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
from frankrl.environments.masks import (
    AUTO,
    Entries,
    MaskSource,
    entries,
    in_words,
    mask_in,
    source_outside,
    state_space,
)
from frankrl.environments.preprocessing import Preprocessing, preprocessing_for
from frankrl.environments.single import can_be_filmed, close_environments, make_environment
from frankrl.environments.symmetry import Symmetry, symmetries_of

MAX_ACTIONS = np.iinfo(ACTION_DTYPE).max
DIGEST_BYTES = 16
"""Length of every hash of what environments return."""
LARGE_ROW_BYTES = 2_048
"""A row of so many bytes is hashed where its environment is stepped."""
_TIME_LIMITS = (
    *("max_episode_steps", "_max_episode_steps", "max_steps", "_max_steps"),
    "max_num_frames_per_episode",
)
"""Names under which environments and wrappers hold the most steps of an episode."""
_STATISTICS = ("obs_rms", "return_rms")
"""Names under which wrappers such as `NormalizeReward` hold means over all that they saw."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """Everything that the rest of Frank knows about an environment.

    An observation has two forms. For stepping, it is a row: one array or record that is copied,
    hashed and sent in one piece. For acting and learning, it is a pytree of leaves, with the
    dicts and tuples of the environment's own observations.
    """

    env_id: str
    env_kwargs: Mapping[str, Any]
    wrappers: tuple[str, ...]
    """Names of the user's own wrappers around it, the innermost first."""
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
    mask_key: str
    """Key of the mask in the observation or the info; empty for the method `action_masks`."""
    mask_setting: str
    """The setting `action_mask` with which it was described."""
    mask_entries: Entries | None
    """Keys of state and mask in an observation; None if it holds no mask."""
    made_by: str
    """How Gymnasium makes it; two processes may register different environments by one name."""
    can_be_filmed: bool
    """Whether the environment says that it renders pictures."""
    has_time_limit: bool
    """Whether it names the most steps of an episode."""
    running_statistics: tuple[str, ...]
    """Names of its wrappers that change with all they see, such as `NormalizeReward`."""
    own_action_names: tuple[str, ...]
    """What the environment itself calls its actions; empty if it does not say."""
    preprocessing: Preprocessing
    """How its observations and rewards are prepared."""
    symmetries: tuple[Symmetry, ...]
    """Maps of observations and actions under which it says that it stays the same."""
    structure: Structure = field(repr=False)
    """How the leaves form an observation."""

    @property
    def is_masked(self) -> bool:
        """Whether the environment provides action masks."""
        return self.masks_from != "nowhere"

    @property
    def mask_place(self) -> str:
        """Where allowed actions are read from, in words; empty without action masks."""
        return in_words(self.masks_from, self.mask_key)

    @cached_property
    def row_dtype(self) -> np.dtype:
        """Dtype of a row, with its mask: that of the only leaf, or a record."""
        return row_dtype(self.leaves, self.num_actions if self.is_masked else 0)

    @cached_property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row; () for a record."""
        return self.leaves[0].shape if self.row_dtype.names is None else ()

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.row_dtype.itemsize * math.prod(self.row_shape)

    @cached_property
    def hashes_rows(self) -> bool:
        """Whether a row is so large that it is hashed where its environment is stepped: then
        pictures are hashed on all cores."""
        return self.row_bytes >= LARGE_ROW_BYTES

    def row_hash(self, row: Shaped[np.ndarray, "*row"]) -> bytes:
        """A hash of a large row; empty for a small one, whose bytes stand for themselves."""
        if not self.hashes_rows:
            return b""
        return hashlib.blake2b(row.tobytes(), digest_size=DIGEST_BYTES).digest()

    def fingerprint(self, row: Shaped[np.ndarray, "*row"]) -> bytes:
        """What of a row goes into the digest of its environment: its hash, or its bytes."""
        return self.row_hash(row) or row.tobytes()

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
        state, mask = observation, mask_in(info, self.mask_key)
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
        return self.own_action_names or names.action_names(self.env_id, self.num_actions)

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


def describe(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    action_mask: str = AUTO,
    preprocessing: Preprocessing | None = None,
    wrappers: Sequence[str] = (),
) -> EnvironmentSpec:
    """Make an environment once, describe it and close it again.

    Args:
        env_id: its name, as for `make_environment`.
        env_kwargs: as for `make_environment`.
        action_mask: the setting of this name: where its action masks are read from.
        preprocessing: how its observations and rewards are prepared; None: by default.
        wrappers: as for `make_environment`.

    Raises:
        EnvironmentUnusableError: it cannot be made, or DQN cannot act in it.
        MissingExtraError: it needs an extra of Frank's that is not installed.
    """
    if preprocessing is None:
        preprocessing = preprocessing_for(env_id, Settings())
    env = make_environment(env_id, env_kwargs, preprocessing=preprocessing, wrappers=wrappers)
    try:
        facts = _facts_of(env, env_id, action_mask)
        spec = spec_of(facts, env_id, env_kwargs, action_mask, preprocessing, wrappers)
        return replace(spec, symmetries=_declared_symmetries(env, spec))
    finally:
        close_environments([env])


def describe_for(env_id: str, settings: Settings) -> EnvironmentSpec:
    """The description of a run's environment.

    Raises:
        EnvironmentUnusableError: as for `describe`.
        SettingError: a setting of Atari games is given for another environment.
    """
    environment, preprocessing = settings.environment, preprocessing_for(env_id, settings)
    return describe(
        env_id,
        environment.env_kwargs,
        environment.action_mask,
        preprocessing,
        environment.wrappers,
    )


def described_for_evaluation(
    spec: EnvironmentSpec, settings: EvaluationSettings
) -> EnvironmentSpec:
    """The description of the environment in which a run is evaluated.

    Args:
        spec: that of its training.
        settings: may name other arguments and wrappers.

    Raises:
        EnvironmentUnusableError: it cannot be made.
        SettingError: its observations or actions are not those of the training.
    """
    wanted = for_evaluation(spec, settings)
    if (wanted.env_kwargs, wanted.wrappers) == (spec.env_kwargs, spec.wrappers):
        return spec
    found = describe(
        wanted.env_id,
        wanted.env_kwargs,
        spec.mask_setting,
        spec.preprocessing,
        wanted.wrappers,
    )
    for name in ("observation_space", "num_actions", "first_action", "mask_place"):
        ours, theirs = getattr(spec, name), getattr(found, name)
        if ours != theirs:
            raise SettingError(
                "an agent can only be evaluated with the observations and actions of its training, "
                f"and with evaluation_env_kwargs and evaluation_wrappers the {name} of "
                f"{spec.env_id} is {theirs or 'none'} instead of {ours or 'none'}: change them, or "
                "leave them out"
            )
    return found


def for_evaluation(spec: EnvironmentSpec, settings: EvaluationSettings) -> EnvironmentSpec:
    """The description of a run's environment, with the arguments and wrappers of evaluations."""
    kwargs, wrappers = settings.evaluation_env_kwargs, settings.evaluation_wrappers
    return replace(
        spec,
        env_kwargs=spec.env_kwargs if kwargs is None else kwargs,
        wrappers=spec.wrappers if wrappers is None else wrappers,
    )


class EnvironmentFacts(NamedTuple):
    """What an environment shows of itself; its description follows from this."""

    observation_space: spaces.Space
    action_space: spaces.Space
    reward_threshold: float | None
    mask_outside: Callable[[], tuple[MaskSource, str]]
    """Returns where an action mask is that the observations do not hold, and its key."""
    made_by: str
    can_be_filmed: bool
    has_time_limit: bool
    running_statistics: tuple[str, ...]
    own_action_names: tuple[str, ...]


def spec_of(
    facts: EnvironmentFacts,
    env_id: str,
    env_kwargs: Mapping[str, Any],
    action_mask: str,
    preprocessing: Preprocessing,
    wrappers: Sequence[str] = (),
) -> EnvironmentSpec:
    """The description that follows from an environment's facts; arguments as of `describe`.

    Raises:
        EnvironmentUnusableError: DQN cannot act in such an environment.
    """
    actions, observations = facts.action_space, facts.observation_space
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
    found = entries(observations, num_actions, env_id, action_mask)
    states = state_space(observations, found)
    leaves = leaves_of(states, env_id)
    masks_from, mask_key = ("observation", found.mask) if found else facts.mask_outside()
    return EnvironmentSpec(
        env_id=env_id,
        env_kwargs=dict(env_kwargs),
        wrappers=tuple(wrappers),
        leaves=leaves,
        num_actions=num_actions,
        first_action=int(actions.start),
        reward_threshold=facts.reward_threshold,
        observation_space=observations,
        state_space=states,
        masks_from=masks_from,
        mask_key=mask_key,
        mask_setting=action_mask,
        mask_entries=found,
        made_by=facts.made_by,
        can_be_filmed=facts.can_be_filmed,
        has_time_limit=facts.has_time_limit,
        running_statistics=facts.running_statistics,
        own_action_names=facts.own_action_names
        if len(facts.own_action_names) == num_actions
        else (),
        preprocessing=preprocessing,
        symmetries=(),
        structure=structure_of(states),
    )


def _facts_of(env: gymnasium.Env, env_id: str, action_mask: str) -> EnvironmentFacts:
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), spaces.Space):
            raise EnvironmentUnusableError(
                f"{env_id} has no {name}: set it to one of gymnasium.spaces"
            )
    return EnvironmentFacts(
        observation_space=env.observation_space,
        action_space=env.action_space,
        reward_threshold=env.spec.reward_threshold if env.spec else None,
        mask_outside=lambda: source_outside(env, env_id, action_mask),
        made_by=_made_by(env.spec),
        can_be_filmed=can_be_filmed(env),
        has_time_limit=_has_time_limit(env),
        running_statistics=_running_statistics(env),
        own_action_names=_own_action_names(env),
    )


def _has_time_limit(env: gymnasium.Env) -> bool:
    """Whether the environment, or a part of it, names the most steps of an episode."""
    named = dict(env.spec.kwargs) if env.spec else {}
    named["max_episode_steps"] = env.spec.max_episode_steps if env.spec else None
    for part in _parts(env):
        named |= {name: value for name, value in _own(part).items() if name in _TIME_LIMITS}
    return any(named.get(name) for name in _TIME_LIMITS)


def _running_statistics(env: gymnasium.Env) -> tuple[str, ...]:
    """Names of the wrappers that change with every observation or reward that they see."""
    return tuple(
        type(part).__name__
        for part in _parts(env)
        if any(name in _own(part) for name in _STATISTICS)
        and getattr(part, "update_running_mean", True)
    )


def _own_action_names(env: gymnasium.Env) -> tuple[str, ...]:
    """The attribute `action_names` of an environment, if it is a list of texts."""
    try:
        names = env.get_wrapper_attr("action_names")
    except AttributeError:
        return ()
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return ()


def _declared_symmetries(env: gymnasium.Env, spec: EnvironmentSpec) -> tuple[Symmetry, ...]:
    """The attribute `symmetries` of an environment, or what Frank knows of it; none, with a
    warning, if it is nothing of that kind."""
    try:
        return symmetries_of(declared_symmetries(env).symmetries, spec.leaves, spec.num_actions)
    except ValueError as error:
        warn(f"the symmetries that {spec.env_id} declares are left out: {error}")
        return ()


def _parts(env: gymnasium.Env) -> Iterator[gymnasium.Env]:
    """The wrappers of an environment from the outermost on, and the environment in them."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def _own(part: gymnasium.Env) -> dict[str, Any]:
    """The attributes of a wrapper itself, without those that it passes on."""
    return getattr(part, "__dict__", {})


def _made_by(spec: EnvSpec | None) -> str:
    if spec is None:
        return "unknown"
    maker = spec.entry_point
    if callable(maker):
        maker = f"{getattr(maker, '__module__', '')}:{getattr(maker, '__qualname__', '')}"
    return f"{maker} {spec.kwargs} {spec.max_episode_steps} {spec.additional_wrappers}"
