"""All settings of a run together."""

import dataclasses
import fractions
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from frankrl.config.answers import refuse_known_names
from frankrl.config.clock import Clock
from frankrl.config.combinations import check_together
from frankrl.config.groups import (
    GROUPS,
    AtariSettings,
    DataSettings,
    EnvironmentSettings,
    EvaluationSettings,
    ExplorationSettings,
    LearningSettings,
    NetworkSettings,
    PixelSettings,
    ReplaySettings,
    SavingSettings,
    TrainingSettings,
)
from frankrl.config.idle import idle_error, idle_settings
from frankrl.config.known_names import BY_NAME
from frankrl.config.names import DECLARED, code_among, group_of
from frankrl.config.validation import Checked
from frankrl.core.errors import SettingError, nearest
from frankrl.core.types import SequenceSpec

_DECIDED = ("source", "symmetry")
"""Settings that may leave a choice (`auto`) to a run, which decides and stores it as it begins."""
_FOLLOW_THE_BUDGET = (
    "learning_rate_decay_env_steps",
    "learning_rate_decay_updates",
    "priority_beta_env_steps",
    "priority_beta_updates",
)
"""Durations that are the run's budget unless they are given."""

_Groups = dict[str, Checked]


@dataclass(frozen=True)
class Settings:
    """All settings of a run, in groups.

    An idle setting has its default; another value is refused, because it would change nothing.
    """

    data: DataSettings = field(default_factory=DataSettings)
    environment: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    pixels: PixelSettings = field(default_factory=PixelSettings)
    atari: AtariSettings = field(default_factory=AtariSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    exploration: ExplorationSettings = field(default_factory=ExplorationSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    replay: ReplaySettings = field(default_factory=ReplaySettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    saving: SavingSettings = field(default_factory=SavingSettings)

    def __post_init__(self) -> None:
        for group, kind in GROUPS.items():
            if not isinstance(getattr(self, group), kind):
                raise SettingError(
                    f"{group} must be {kind.__name__}; give single settings by their short names "
                    "to Settings().with_changes"
                )
        values = self.values()
        for name in idle_settings(values):
            if values[name] != DECLARED[name].default:
                raise idle_error(name, values)
        check_together(self)

    @property
    def is_offline(self) -> bool:
        """Whether the run learns from a data set alone, without acting."""
        return self.data.dataset is not None and not self.data.demonstration_share

    @property
    def has_demonstrations(self) -> bool:
        """Whether a share of each batch comes from a data set while the run acts."""
        return self.data.dataset is not None and not self.is_offline

    @property
    def demonstration_rows(self) -> int:
        """Transitions of each batch that come from the data set while the run acts."""
        return round(self.replay.batch_size * self.data.demonstration_share)

    @property
    def clock(self) -> Clock:
        """What the run counts."""
        return Clock.UPDATES if self.is_offline else Clock.ENV_STEPS

    @property
    def value_unit(self) -> Literal["reward", "h(reward)"]:
        """Unit of Q-values, targets and TD errors; h is the scale of `value_rescaling`."""
        return "h(reward)" if self.learning.value_rescaling else "reward"

    @property
    def budget(self) -> int:
        """How long the run is, by its clock."""
        return getattr(self.training, self.budget_name)

    @property
    def budget_name(self) -> str:
        """The setting that says how long the run is."""
        return self.clock.named("total")

    @property
    def evaluate_every(self) -> int | None:
        """Interval between evaluations by the run's clock; None: there are none."""
        return getattr(self.evaluation, self.clock.named("evaluate_every"))

    @property
    def checkpoint_every(self) -> int:
        """Interval between checkpoints by the run's clock."""
        return getattr(self.saving, self.clock.named("checkpoint_every"))

    @property
    def log_every(self) -> int:
        """Interval between rows of metrics by the run's clock."""
        return getattr(self.saving, self.clock.named("log_every"))

    @property
    def round_ticks(self) -> int:
        """What the run's clock counts in a round, between two calls of the learner."""
        if self.is_offline:
            return self.training.updates_per_round
        return self.round_envs * self.training.vector_steps_per_round

    @property
    def last_tick(self) -> int:
        """What the run's clock counts at its end: its budget, in whole rounds."""
        return -(-self.budget // self.round_ticks) * self.round_ticks

    @property
    def round_envs(self) -> int:
        """Environments that step in a round: all, or those of one actor that runs freely."""
        return self.environment.num_envs // (self.environment.asynchronous_actors or 1)

    @property
    def has_replay(self) -> bool:
        """Whether the algorithm has a replay buffer: PQN has none."""
        return self.learning.algorithm != "pqn"

    @property
    def has_target_network(self) -> bool:
        """Whether the algorithm has a target network: PQN and behaviour cloning have none."""
        return self.learning.algorithm == "dqn"

    @property
    def sequences(self) -> SequenceSpec | None:
        """The sequences that a network with memory learns from; None without memory."""
        if self.network.memory == "none":
            return None
        replay = self.replay
        return SequenceSpec(
            burn_in_steps=replay.burn_in_steps,
            learned_steps=replay.sequence_steps - replay.burn_in_steps,
            memory_units=self.network.memory_units,
            priority_share=replay.sequence_priority_share,
        )

    @property
    def update_batch_size(self) -> int:
        """Transitions that one update learns from; with memory sequences."""
        if self.has_replay:
            return self.replay.batch_size
        return self.round_ticks // self.learning.minibatches

    @property
    def update_transitions(self) -> int:
        """Transitions that one update learns from, at most: with memory those of its sequences."""
        each = 1 if self.sequences is None else self.sequences.learned_steps
        return self.update_batch_size * each

    @property
    def first_update_ticks(self) -> int:
        """What the run's clock counts before the first update: with PQN, and without acting, the
        first round."""
        if self.has_replay and not self.is_offline:
            return self.training.learning_starts_env_steps
        return self.round_ticks

    def updates_due(self, ticks: int) -> int:
        """Updates that are due after a number of ticks of the run's clock.

        With DQN `replay_ratio` per env step, counted from the beginning of the round in which
        `learning_starts_env_steps` is reached; with PQN one for each minibatch of each epoch;
        without acting as many as the run's clock says.
        """
        size = self.round_ticks
        if self.is_offline:
            return ticks
        if not self.has_replay:
            return ticks // size * self.learning.epochs_per_round * self.learning.minibatches
        before_first = (self.training.learning_starts_env_steps - 1) // size * size
        ratio = _exact(self.training.replay_ratio)
        return max(0, (ticks - before_first) * ratio.numerator // ratio.denominator)

    @property
    def updates_per_round(self) -> tuple[int, int]:
        """The fewest and the most updates of a round, once learning has begun."""
        if self.is_offline:
            return self.round_ticks, self.round_ticks
        exact = _exact(self.training.replay_ratio) * self.round_ticks
        return math.floor(exact), math.ceil(exact)

    def values(self) -> dict[str, Any]:
        """Every setting's value by its short name, in order of declaration."""
        return _values(self._groups())

    def code_names(self) -> dict[str, tuple[str, ...]]:
        """The code that settings name, `module:attribute`, by the setting's short name."""
        found = {name: code_among({name: value}) for name, value in self.values().items()}
        return {name: names for name, names in found.items() if names}

    def warnings(self) -> list[str]:
        """Warnings about allowed but unusual settings, one sentence each."""
        found = []
        decay = self.exploration.epsilon_decay_env_steps
        starts, total = self.first_update_ticks, self.training.total_env_steps
        idle = self._idle()
        if self.is_offline or not self.has_replay:
            return found
        if decay <= starts and "epsilon_decay_env_steps" not in idle:
            found.append(
                f"epsilon_decay_env_steps ({decay:,}) ends before learning starts "
                f"(learning_starts_env_steps {starts:,}): the decay changes nothing that is learned"
            )
        if starts > total:
            found.append(
                f"learning_starts_env_steps ({starts:,}) lies beyond total_env_steps "
                f"({total:,}): nothing will be learned"
            )
        if self.replay.replay_capacity < starts:
            found.append(
                f"replay_capacity ({self.replay.replay_capacity:,}) is below "
                f"learning_starts_env_steps ({starts:,}): its oldest transitions are never used"
            )
        rise = self.replay.priority_beta_env_steps
        if rise is not None and rise > total:
            found.append(
                f"priority_beta_env_steps ({rise:,}) lies beyond total_env_steps ({total:,}): "
                "β never reaches 1, so the sampling bias is never fully corrected"
            )
        return found

    def resolved(self) -> "Settings":
        """The same settings with a number for every duration that follows from another one.

        A run stores these, so a larger budget on a resume does not change a schedule. A duration
        that is idle stays none.
        """
        return self.with_changes(**dict.fromkeys(self.unresolved(), self.budget))

    def following_the_budget(self) -> list[str]:
        """Names of the durations that are the run's budget, as if none had been given."""
        values, total = self.values(), self.budget
        return [name for name in _FOLLOW_THE_BUDGET if values[name] in (None, total)]

    def unresolved(self) -> list[str]:
        """Names of the durations that follow from another one and have no number yet."""
        values, idle = self.values(), self._idle()
        return [name for name in _FOLLOW_THE_BUDGET if values[name] is None and name not in idle]

    def with_changes(self, **changes: Any) -> "Settings":
        """The same settings with some changed, each by its short name.

        Settings that become idle, and are not in `changes`, return to their defaults.

        Raises:
            SettingError: a name or value is not allowed, or a setting that is named is idle.
        """
        refuse_known_names(changes, self.values())
        changed = _replaced(self._groups(), changes)
        values = _values(changed)
        idle = idle_settings(values)
        for name in idle:
            if name in changes:
                raise idle_error(name, values)
        defaults = {name: DECLARED[name].default for name in idle}
        back = {name: value for name, value in defaults.items() if values[name] != value}
        groups: dict[str, Any] = _replaced(changed, back)
        return Settings(**groups)

    def decided_as(self, run: "Settings") -> "Settings":
        """The same settings, with the choices that they leave to a run as a run has decided.

        Args:
            run: the settings that the run has stored.
        """
        ours, theirs, idle = self.values(), run.values(), self._idle()
        left = {
            name: theirs[name] for name in _DECIDED if ours[name] == "auto" and name not in idle
        }
        return self.with_changes(**left) if left else self

    def to_tables(self) -> dict[str, dict[str, Any]]:
        """Groups and their values as plain dictionaries, in order of declaration.

        Idle settings are left out, because `from_tables` would refuse them.
        """
        idle = self._idle()
        return {
            group: {name: value for name, value in values.items() if name not in idle}
            for group, values in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], base: "Settings | None" = None) -> "Settings":
        """Settings from the tables of a TOML file, on top of `base`.

        Raises:
            SettingError: a table, name or value is not allowed, or a setting that is named is idle.
        """
        changes: dict[str, Any] = {}
        for group, values in tables.items():
            if group not in GROUPS:
                raise SettingError(
                    f"unknown table [{group}]{nearest(group, GROUPS)} (tables: {', '.join(GROUPS)})"
                )
            if not isinstance(values, Mapping):
                raise SettingError(f"[{group}] must be a table of settings, got {values!r}")
            for name, value in values.items():
                if name not in BY_NAME and group_of(name) != group:
                    raise SettingError(f"setting {name!r} belongs into table [{group_of(name)}]")
                changes[name] = value
        return (base or _defaults()).with_changes(**changes)

    def _groups(self) -> _Groups:
        return {group: getattr(self, group) for group in GROUPS}

    def _idle(self) -> list[str]:
        return idle_settings(self.values())


@functools.cache
def _defaults() -> Settings:
    """The defaults, checked once."""
    return Settings()


def _values(groups: _Groups) -> dict[str, Any]:
    return {name: getattr(groups[declared.group], name) for name, declared in DECLARED.items()}


def _replaced(groups: _Groups, changes: Mapping[str, Any]) -> _Groups:
    """The groups with some settings replaced, types and ranges checked."""
    by_group: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        by_group.setdefault(group_of(name), {})[name] = value
    return groups | {
        group: dataclasses.replace(groups[group], **values) for group, values in by_group.items()
    }


@functools.cache
def _exact(ratio: float) -> fractions.Fraction:
    """A ratio as an exact fraction: 0.1 is one tenth, not its nearest float."""
    return fractions.Fraction(ratio).limit_denominator(10**9)
