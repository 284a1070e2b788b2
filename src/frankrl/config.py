"""Every setting of a run: its name, unit, default and allowed range.

The command line, the TOML files and the keyword arguments of `frankrl.train`
are all made from the dataclasses below; leaf names are unique across groups, so
a setting has the same short name everywhere.
"""

import dataclasses
import json
import math
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from frankrl.errors import SettingError, nearest

NONE = "none"
"""How a TOML file says that an optional setting is off."""


def _number(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A numeric field with the range its value must lie in."""
    bounds = {"at_least": at_least, "above": above, "at_most": at_most}
    return field(default=default, metadata=bounds)


@dataclass(frozen=True)
class _Group:
    """Checks type and range of every field when a settings record is made."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            try:
                value = _coerced(spec, getattr(self, spec.name), type(self))
                _check_range(spec, value)
            except OverflowError as error:
                raise SettingError(
                    f"{spec.name} must be finite, and that number is beyond all floats"
                ) from error
            object.__setattr__(self, spec.name, value)


@dataclass(frozen=True)
class EnvironmentSettings(_Group):
    """How many environments there are and how each is made."""

    num_envs: int = _number(1, at_least=1)
    """Environments stepped side by side. Changes no other setting's meaning. [environments]"""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments for `gymnasium.make`, as a JSON object where text is wanted."""


@dataclass(frozen=True)
class NetworkSettings(_Group):
    """The Q-network: observation → one Q-value per action."""

    hidden_widths: tuple[int, ...] = field(default=(64, 64), metadata={"at_least": 1})
    """Width of each hidden layer. [neurons]"""
    activation: Literal["relu", "tanh", "elu", "silu"] = "relu"
    """Non-linearity after each hidden layer."""
    scale_observation: bool = False
    """Bring every component whose bounds the environment names to -1 … 1 first."""
    layer_norm: bool = False
    """Normalise each hidden layer before its activation (Ba et al. 2016)."""


@dataclass(frozen=True)
class ExplorationSettings(_Group):
    """ε-greedy: with probability ε a random action, otherwise the best one."""

    epsilon_start: float = _number(1.0, at_least=0, at_most=1)
    """ε before the first env step. [probability]"""
    epsilon_end: float = _number(0.05, at_least=0, at_most=1)
    """ε once the decay is over. [probability]"""
    epsilon_decay_env_steps: int = _number(10_000, at_least=0)
    """Duration of the linear decay from start to end, from the run's beginning. [env steps]"""


@dataclass(frozen=True)
class ReplaySettings(_Group):
    """The experience replay buffer."""

    replay_capacity: int = _number(100_000, at_least=1)
    """Quadruples the buffer holds; the oldest is overwritten. [transitions]"""
    batch_size: int = _number(64, at_least=1)
    """Quadruples per update, sampled uniformly with replacement. [transitions]"""
    n_step: int = _number(1, at_least=1, at_most=255)
    """Rewards summed before the target network takes over; 1 is the notes' target. [env steps]"""


@dataclass(frozen=True)
class LearningSettings(_Group):
    """Target, loss and optimiser of one update."""

    gamma: float = _number(0.99, at_least=0, at_most=1)
    """Discount γ of the future per env step. [ratio]"""
    double: bool = False
    """Double DQN: the Q-network picks the next action, the target network values it."""
    loss: Literal["mse", "huber"] = "mse"
    """Squared TD error, or Huber: squared up to `huber_delta`, then linear."""
    huber_delta: float = _number(1.0, above=0)
    """|TD error| at which Huber turns linear. [reward]"""
    target_period_updates: int = _number(10_000, at_least=1)
    """The target network is overwritten with the Q-network every so often. [updates]"""
    learning_rate: float = _number(1e-3, above=0)
    """Adam's step size at the beginning. [per update]"""
    learning_rate_end: float | None = _number(None, above=0)
    """Adam's step size once its linear decay is over; none: it stays as it begins. [per update]"""
    learning_rate_decay_env_steps: int | None = _number(None, at_least=1)
    """Duration of the learning rate's linear decay; none: `total_env_steps`. [env steps]"""
    adam_epsilon: float = _number(1e-8, above=0)
    """Adam's ε, added to the root of the second moment. [gradient]"""
    max_gradient_norm: float | None = _number(10.0, above=0)
    """Global L2 norm to which a larger gradient is scaled down; none: never. [gradient]"""


@dataclass(frozen=True)
class TrainingSettings(_Group):
    """How long, how often, in which order."""

    total_env_steps: int = _number(100_000, at_least=1)
    """Budget: transitions collected, summed over environments. [env steps]"""
    learning_starts_env_steps: int = _number(1_000, at_least=1)
    """Transitions collected before the first update. [env steps]"""
    replay_ratio: float = _number(1.0, above=0)
    """Updates per env step. [updates per env step]"""
    vector_steps_per_round: int = _number(1, at_least=1)
    """Steps of all environments between two calls of the learner. [vector steps]"""
    overlap: bool = True
    """Act with weights one round older, so that acting and learning run at the same time."""


@dataclass(frozen=True)
class EvaluationSettings(_Group):
    """Greedy episodes on environments and seeds of their own."""

    evaluate_every_env_steps: int = _number(10_000, at_least=1)
    """Interval between evaluations while training. [env steps]"""
    evaluation_episodes: int = _number(10, at_least=1)
    """Episodes of each evaluation while training. [episodes]"""
    final_evaluation_episodes: int = _number(100, at_least=1)
    """Episodes of the evaluation at the end, and of the proof that it is solved. [episodes]"""
    until_solved: bool = False
    """Stop once the mean return reaches the environment's reward threshold."""


@dataclass(frozen=True)
class SavingSettings(_Group):
    """What is written to the run folder, and when."""

    checkpoint_every_env_steps: int = _number(50_000, at_least=1)
    """Interval between checkpoints. [env steps]"""
    keep_checkpoints: int = _number(3, at_least=1)
    """Newest checkpoints kept. [checkpoints]"""
    log_every_env_steps: int = _number(1_000, at_least=1)
    """Interval between rows of metrics; each is a mean over it. [env steps]"""


@dataclass(frozen=True)
class Settings:
    """All settings of a run, in groups."""

    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    exploration: ExplorationSettings = field(default_factory=ExplorationSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    saving: SavingSettings = field(default_factory=SavingSettings)

    def __post_init__(self) -> None:
        _check_together(self)

    @property
    def round_env_steps(self) -> int:
        """Env steps collected between two calls of the learner."""
        return self.environment.num_envs * self.training.vector_steps_per_round

    def warnings(self) -> list[str]:
        """Settings that are allowed but rarely meant, one sentence each."""
        found = []
        decay = self.exploration.epsilon_decay_env_steps
        starts = self.training.learning_starts_env_steps
        if decay <= starts:
            found.append(
                f"epsilon_decay_env_steps ({decay:,}) ends before learning starts "
                f"(learning_starts_env_steps {starts:,}): the decay changes nothing that is learned"
            )
        if starts > self.training.total_env_steps:
            found.append(
                f"learning_starts_env_steps ({starts:,}) lies beyond total_env_steps "
                f"({self.training.total_env_steps:,}): nothing will be learned"
            )
        if self.replay.replay_capacity < starts:
            found.append(
                f"replay_capacity ({self.replay.replay_capacity:,}) is below "
                f"learning_starts_env_steps ({starts:,}): its oldest quadruples are never used"
            )
        return found

    def resolved(self) -> "Settings":
        """The same settings with every duration that follows from another written out.

        A run is made of these, so that a later, larger budget bends no schedule.
        """
        if self.learning.learning_rate_decay_env_steps is not None:
            return self
        return self.with_changes(learning_rate_decay_env_steps=self.training.total_env_steps)

    def with_changes(self, **changes: Any) -> "Settings":
        """The same settings with some replaced, each by its short name.

        Raises:
            SettingError: a name or value is not allowed.
        """
        by_group: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            by_group.setdefault(group_of(name), {})[name] = value
        groups = {
            name: dataclasses.replace(getattr(self, name), **values)
            for name, values in by_group.items()
        }
        return dataclasses.replace(self, **groups)

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Groups and their values as plain dictionaries, in order of declaration."""
        return dataclasses.asdict(self)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], base: "Settings | None" = None) -> "Settings":
        """Settings from the tables of a TOML file, on top of `base`.

        Raises:
            SettingError: a table, name or value is not allowed.
        """
        changes: dict[str, Any] = {}
        for group, values in tables.items():
            if group not in _GROUPS:
                raise SettingError(
                    f"unknown table [{group}]{nearest(group, _GROUPS)} "
                    f"(tables: {', '.join(_GROUPS)})"
                )
            if not isinstance(values, Mapping):
                raise SettingError(f"[{group}] must be a table of settings, got {values!r}")
            for name, value in values.items():
                if group_of(name) != group:
                    raise SettingError(f"setting {name!r} belongs into table [{group_of(name)}]")
                changes[name] = value
        return (base or cls()).with_changes(**changes)


_GROUPS: dict[str, type[_Group]] = {
    spec.name: typing.get_type_hints(Settings)[spec.name] for spec in dataclasses.fields(Settings)
}
_GROUP_OF: dict[str, str] = {
    spec.name: group for group, kind in _GROUPS.items() for spec in dataclasses.fields(kind)
}


def setting_names() -> tuple[str, ...]:
    """Short names of all settings, in order of declaration."""
    return tuple(_GROUP_OF)


def optional_setting_names() -> tuple[str, ...]:
    """Short names of the settings that can be off."""
    return tuple(
        spec.name
        for kind in _GROUPS.values()
        for spec in dataclasses.fields(kind)
        if type(None) in typing.get_args(typing.get_type_hints(kind)[spec.name])
    )


def group_of(name: str) -> str:
    """The group that a setting belongs to.

    Raises:
        SettingError: there is no such setting; the message names the nearest one.
    """
    if name not in _GROUP_OF:
        raise SettingError(
            f"unknown setting {name!r}{nearest(name, _GROUP_OF)} "
            f"(`frank train --help` lists all settings)"
        )
    return _GROUP_OF[name]


def _coerced(spec: dataclasses.Field, value: Any, owner: type) -> Any:
    """The value in the field's own type; whole numbers may stand for floats and vice versa."""
    wanted = typing.get_type_hints(owner)[spec.name]
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    if (value is None or value == NONE) and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if typing.get_origin(kind) is Literal:
        allowed = typing.get_args(kind)
        if value in allowed:
            return value
        raise SettingError(
            f"{spec.name} must be one of {', '.join(allowed)}, got {value!r}"
            f"{nearest(str(value), allowed)}"
        )
    if typing.get_origin(kind) is tuple:
        if isinstance(value, (list, tuple)) and all(_is_whole(item) for item in value):
            return tuple(map(int, value))
        raise SettingError(f"{spec.name} must be a list of whole numbers, got {value!r}")
    if typing.get_origin(kind) is dict:
        return _json_object(spec.name, value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and _is_whole(value):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    raise SettingError(f"{spec.name} must be {names[kind]}, got {value!r}")


def _json_object(name: str, value: Any) -> dict[str, Any]:
    """A table of plain values, also given as the text of a JSON object."""
    try:
        table = json.loads(value) if isinstance(value, str) else value
        if isinstance(table, dict) and json.loads(json.dumps(table, allow_nan=False)) == table:
            return dict(table)
    except (ValueError, TypeError, RecursionError):
        pass
    raise SettingError(
        f"{name} must be a table or JSON object of numbers, text, true, false, null, lists and "
        f"such tables, got {value!r}"
    )


def _is_whole(value: Any) -> TypeGuard[int | float]:
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Integral) or (
        isinstance(value, numbers.Real) and float(value).is_integer()
    )


def _check_range(spec: dataclasses.Field, value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, (str, bool, dict)) or item is None:
            continue
        at_least, above, at_most = (spec.metadata.get(k) for k in ("at_least", "above", "at_most"))
        wanted = []
        if not math.isfinite(item):
            wanted.append("finite")
        if at_least is not None and item < at_least:
            wanted.append(f"at least {at_least}")
        if above is not None and item <= above:
            wanted.append(f"greater than {above}")
        if at_most is not None and item > at_most:
            wanted.append(f"at most {at_most}")
        if wanted:
            raise SettingError(f"{spec.name} must be {' and '.join(wanted)}, got {item}")


def _check_together(settings: Settings) -> None:
    """Rules that involve more than one group."""
    replay, training = settings.replay, settings.training
    if replay.batch_size > replay.replay_capacity:
        raise SettingError(
            f"batch_size ({replay.batch_size:,}) is larger than the buffer can ever hold "
            f"(replay_capacity {replay.replay_capacity:,}); lower the one or raise the other"
        )
    largest_round = settings.round_env_steps + (replay.n_step - 1) * settings.environment.num_envs
    if largest_round > replay.replay_capacity:
        raise SettingError(
            f"one round can store {largest_round:,} quadruples (num_envs × "
            f"vector_steps_per_round, and what n_step holds back), more than the buffer holds "
            f"(replay_capacity {replay.replay_capacity:,}); lower the one or raise the other"
        )
    first_stored = replay.n_step * settings.environment.num_envs
    if training.learning_starts_env_steps < first_stored:
        raise SettingError(
            f"learning_starts_env_steps must be at least n_step × num_envs = {first_stored:,}, "
            f"so that the buffer is not empty, got {training.learning_starts_env_steps:,}"
        )
