"""Every setting of a run: its name, unit, default and allowed range.

The command line, the TOML files and the keyword arguments of `frankrl.train`
are all made from the dataclasses below; leaf names are unique across groups, so
a setting has the same short name everywhere.
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from frankrl.config.combinations import check_together
from frankrl.config.validation import Checked, number
from frankrl.core.errors import SettingError, nearest

_INT32 = 2**31 - 1
"""What the learner counts updates with."""
MAX_EPISODES = 1_000_000
"""Of one evaluation."""


@dataclass(frozen=True)
class EnvironmentSettings(Checked):
    """How many environments there are and how each is made."""

    num_envs: int = number(1, at_least=1)
    """Environments stepped side by side. Changes no other setting's meaning. [environments]"""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments for `gymnasium.make`, as a JSON object where text is wanted."""
    backend: Literal["gymnasium", "envpool"] = "gymnasium"
    """Whose environments are trained on; EnvPool's are quicker, few, and an extra. Evaluations
    are played on Gymnasium's either way."""
    worker_processes: int | None = number(None, at_least=0, at_most=256)
    """Processes beside the main one that step environments; they change no result. None: as many
    as pay, by the processors and by how long a step takes. [processes]"""


@dataclass(frozen=True)
class NetworkSettings(Checked):
    """The Q-network, or Q-table: observation → one Q-value per action."""

    q_function: Literal["network", "table"] = "network"
    """What holds the Q-values: a Q-network, or a Q-table with a row for each state, which is for
    environments whose states are numbered."""
    hidden_widths: tuple[int, ...] = field(default=(64, 64), metadata={"at_least": 1})
    """Width of each hidden layer. [neurons]"""
    activation: Literal["relu", "tanh", "elu", "silu"] = "relu"
    """Non-linearity after each hidden layer."""
    scale_observation: bool = False
    """Bring every component whose bounds the environment names to -1 … 1 first."""
    layer_norm: bool = False
    """Normalise each hidden layer before its activation (Ba et al. 2016)."""
    dueling: bool = False
    """Estimate the state's value and each action's advantage apart (Wang et al. 2016)."""
    distribution: Literal["mean", "c51", "qr", "iqn"] = "mean"
    """Learn how the return is distributed, not its mean alone: shares of fixed returns (C51,
    Bellemare et al. 2017), quantiles at fixed fractions (QR-DQN, Dabney et al. 2018), or at any
    fraction that is asked for (IQN, Dabney et al. 2018)."""
    num_atoms: int = number(51, at_least=2)
    """C51: how many returns there are. [atoms]"""
    value_min: float = number(-10.0)
    """C51: the lowest of them. [reward]"""
    value_max: float = number(10.0)
    """C51: the highest of them. [reward]"""
    num_quantiles: int = number(51, at_least=1)
    """QR-DQN: how many quantiles the network gives. [quantiles]"""
    iqn_cosines: int = number(64, at_least=1)
    """IQN: cosines that a fraction is embedded with. [cosines]"""
    iqn_acting_fractions: int = number(32, at_least=1)
    """IQN: fractions that are averaged for a Q-value. [fractions]"""


@dataclass(frozen=True)
class ExplorationSettings(Checked):
    """ε-greedy: with probability ε a random action, otherwise the best one."""

    noisy: bool = False
    """Explore by learned noise in the network's weights instead of ε, which is then 0 throughout
    (Fortunato et al. 2018)."""
    epsilon_start: float = number(1.0, at_least=0, at_most=1)
    """ε before the first env step. [probability]"""
    epsilon_end: float = number(0.05, at_least=0, at_most=1)
    """ε once the decay is over. [probability]"""
    epsilon_decay_env_steps: int = number(10_000, at_least=0)
    """Duration of the linear decay from start to end, from the run's beginning. [env steps]"""


@dataclass(frozen=True)
class ReplaySettings(Checked):
    """The experience replay buffer."""

    replay_capacity: int = number(100_000, at_least=1)
    """Quadruples the buffer holds; the oldest is overwritten. [transitions]"""
    batch_size: int = number(64, at_least=1)
    """Quadruples per update. [transitions]"""
    replay_sampling: Literal["uniform", "newest", "prioritised"] = "uniform"
    """Which quadruples an update learns from: any, uniformly with replacement; the newest ones
    in order, as if there were no replay; or those whose TD error was large, more often (Schaul et
    al. 2016)."""
    priority_exponent: float = number(0.5, at_least=0, at_most=1)
    """α of prioritised sampling: a quadruple is drawn in proportion to its priority to this power;
    0 makes all equally likely. [exponent]"""
    priority_beta: float = number(0.4, at_least=0, at_most=1)
    """β before the first env step: the share of prioritised sampling's bias that its weights undo;
    it rises linearly to 1. [exponent]"""
    priority_beta_env_steps: int | None = number(None, at_least=1)
    """Duration of that rise, from the run's beginning; none: `total_env_steps`. [env steps]"""
    priority_epsilon: float = number(1e-6, at_least=1e-12, at_most=1e6)
    """Added to how wrong the Q-network was about a quadruple, so that one without any error can
    still be drawn: to |TD error| [reward]; with c51 to the KL divergence [nats], with qr and iqn to
    the loss. [reward]"""
    n_step: int = number(1, at_least=1, at_most=255)
    """Rewards summed before the target network takes over; 1 is the notes' target. [env steps]"""


@dataclass(frozen=True)
class LearningSettings(Checked):
    """Target, loss and optimiser of one update."""

    gamma: float = number(0.99, at_least=0, at_most=1)
    """Discount γ of the future per env step. [ratio]"""
    bootstrap_on: Literal["truncation", "never", "always"] = "truncation"
    """At which ends of an episode the future still counts. Only a termination ends the world; the
    other two are mistakes, here to be measured: `never` takes a time limit for an end of the world,
    `always` takes no notice of any end."""
    double: bool = False
    """Double DQN: the Q-network picks the next action, the target network values it."""
    munchausen: bool = False
    """Add the log-probability of the action taken to its reward, by the softmax of the target
    network's Q-values (Vieillard et al. 2020)."""
    munchausen_scale: float = number(0.9, at_least=0, at_most=1)
    """Share of it that is added, α there. [ratio]"""
    munchausen_temperature: float = number(0.03, above=0)
    """Temperature of the softmax. [reward]"""
    munchausen_floor: float = number(-1.0, at_most=0)
    """Least that is added, before its share is taken. [reward]"""
    iqn_samples: int = number(8, at_least=1)
    """IQN: fractions drawn for each quadruple, for Q(s, a) and for the target each. [fractions]"""
    loss: Literal["mse", "huber"] = "mse"
    """Squared TD error, or Huber: squared up to `huber_delta`, then linear."""
    huber_delta: float = number(1.0, above=0)
    """|TD error| at which Huber turns linear, and the quantile losses with it. [reward]"""
    target_period_updates: int = number(10_000, at_least=1, at_most=_INT32)
    """The target network is refreshed from the Q-network every so often. [updates]"""
    tau: float = number(1.0, above=0, at_most=1)
    """Share of the way that a refresh goes: 1 overwrites the target network; a small share with
    `target_period_updates` 1 lets it follow slowly (Lillicrap et al. 2016). [ratio]"""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Adam, or plain gradient descent."""
    learning_rate: float = number(1e-3, above=0)
    """The optimiser's step size at the beginning. [per update]"""
    learning_rate_end: float | None = number(None, above=0)
    """The step size once its linear decay is over; none: it stays as it begins. [per update]"""
    learning_rate_decay_env_steps: int | None = number(None, at_least=1)
    """Duration of the learning rate's linear decay; none: `total_env_steps`. [env steps]"""
    polyak_window_updates: int | None = number(None, at_least=1, at_most=_INT32)
    """Weights are averaged over about so many updates, and the average plays wherever the agent
    acts greedily (evaluations, films, the saved agent); none: the newest weights do. [updates]"""
    adam_epsilon: float = number(1e-8, above=0)
    """Adam's ε, added to the root of the second moment. [gradient]"""
    max_gradient_norm: float | None = number(10.0, above=0)
    """Global L2 norm to which a larger gradient is scaled down; none: never. [gradient]"""


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """How long, how often, in which order."""

    total_env_steps: int = number(100_000, at_least=1)
    """Budget: transitions collected, summed over environments. [env steps]"""
    learning_starts_env_steps: int = number(1_000, at_least=1)
    """Transitions collected before the first update. [env steps]"""
    replay_ratio: float = number(1.0, above=0)
    """Updates per env step. [updates per env step]"""
    vector_steps_per_round: int = number(1, at_least=1)
    """Steps of all environments between two calls of the learner. [vector steps]"""
    overlap: bool = True
    """Act with weights one round older, so that acting and learning run at the same time."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where updates are computed; auto: where JAX computes by itself, such as a GPU, if updates are
    large enough to gain by it, else on the CPU. The first run of a process decides for all."""


@dataclass(frozen=True)
class EvaluationSettings(Checked):
    """Greedy episodes on environments and seeds of their own."""

    evaluate_every_env_steps: int = number(10_000, at_least=1)
    """Interval between evaluations while training. [env steps]"""
    evaluation_starts_env_steps: int = number(0, at_least=0)
    """No evaluation is played before: an agent that has hardly learned is not worth a look.
    [env steps]"""
    evaluation_episodes: int = number(10, at_least=1, at_most=MAX_EPISODES)
    """Episodes of each evaluation while training. [episodes]"""
    final_evaluation_episodes: int = number(100, at_least=1, at_most=MAX_EPISODES)
    """Episodes of the evaluation at the end, and of the proof that it is solved. [episodes]"""
    until_solved: bool = False
    """Stop once the mean return reaches the environment's reward threshold."""


@dataclass(frozen=True)
class SavingSettings(Checked):
    """What is written to the run folder, and when."""

    checkpoint_every_env_steps: int = number(50_000, at_least=1)
    """Interval between checkpoints. [env steps]"""
    keep_checkpoints: int = number(3, at_least=1)
    """Newest checkpoints kept. [checkpoints]"""
    log_every_env_steps: int = number(1_000, at_least=1)
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
        check_together(self)

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
        return found + self._warnings_of_priorities()

    def _warnings_of_priorities(self) -> list[str]:
        replay, usual = self.replay, ReplaySettings()
        if replay.replay_sampling != "prioritised":
            names = ("priority_exponent", "priority_beta", "priority_epsilon")
            idle = [name for name in names if getattr(replay, name) != getattr(usual, name)]
            return [f"{name} changes nothing without replay_sampling prioritised" for name in idle]
        rise, total = replay.priority_beta_env_steps, self.training.total_env_steps
        if rise is None or rise <= total:
            return []
        return [
            f"priority_beta_env_steps ({rise:,}) lies beyond total_env_steps ({total:,}): "
            "β never comes to 1, and the bias of the draws is never undone"
        ]

    def resolved(self) -> "Settings":
        """The same settings with every duration that follows from another written out.

        A run is made of these, so that a later, larger budget bends no schedule.
        """
        total = self.training.total_env_steps
        return self.with_changes(**dict.fromkeys(self.unresolved(), total))

    def unresolved(self) -> list[str]:
        """Names of the durations that follow from another and are not written out."""
        durations = {
            "learning_rate_decay_env_steps": self.learning.learning_rate_decay_env_steps,
            "priority_beta_env_steps": self.replay.priority_beta_env_steps,
        }
        return [name for name, given in durations.items() if given is None]

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


_GROUPS: dict[str, type[Checked]] = {
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
