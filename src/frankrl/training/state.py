"""What a run consists of, and everything that training changes, each as one record."""

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Array, Float

from frankrl.config import Settings
from frankrl.core.errors import SettingError
from frankrl.environments import EnvironmentSpec
from frankrl.learning import LearnerState, network_for
from frankrl.networks import QNetwork
from frankrl.replay import (
    ReplayBuffer,
    ReplayState,
    init_replay,
    make_data_replay,
    make_replay,
)
from frankrl.runs import DataOrigin


class ReplayStart(NamedTuple):
    """Where the replay buffer began, empty: with the run, or where a run went on without it."""

    env_steps: int = 0
    updates: int = 0
    """Updates of the run up to there."""

    def updates_due(self, settings: Settings, ticks: int) -> int:
        """Updates of the run that are due after so many ticks of its clock.

        The buffer must first collect `learning_starts_env_steps`, wherever it began.
        """
        return self.updates + settings.updates_due(ticks - self.env_steps)


@dataclass(frozen=True)
class Experiment:
    """The parts of a run that do not change during training; holds no arrays."""

    settings: Settings
    """Resolved settings."""
    spec: EnvironmentSpec
    seed: int
    network: QNetwork
    buffer: ReplayBuffer | None
    """None with PQN, which has no replay buffer. Of a run that does not act, its data set is in
    there."""
    replay_start: ReplayStart = ReplayStart()  # noqa: RUF009
    data: DataOrigin | None = None
    """The data set that the run learns from; None: from what it collects alone."""

    @classmethod
    def of(
        cls, settings: Settings, spec: EnvironmentSpec, seed: int, data: DataOrigin | None = None
    ) -> "Experiment":
        """The experiment that settings describe."""
        network = network_for(settings, spec)
        if settings.is_offline:
            buffer = _data_buffer(settings, spec, data)
        else:
            buffer = _buffer(settings, spec)
        return cls(settings, spec, seed, network, buffer, data=data)

    @property
    def replay(self) -> ReplayBuffer:
        """The replay buffer of a run that has one (`Settings.has_replay`)."""
        if self.buffer is None:
            raise RuntimeError("PQN has no replay buffer")
        return self.buffer

    @functools.cached_property
    def demonstrations(self) -> ReplayBuffer | None:
        """The buffer of the data set of which each batch has a share while the run acts."""
        if not self.settings.has_demonstrations:
            return None
        return _data_buffer(self.settings, self.spec, self.data)

    def stored_steps(self, ticks: int) -> int:
        """Steps that the replay buffer has been given after so many ticks of the run's clock."""
        if self.settings.is_offline and self.data is not None:
            return self.data.num_steps
        return ticks

    def with_replay_start(self, start: ReplayStart) -> "Experiment":
        """The same experiment with a buffer that began there."""
        if self.settings.is_offline:
            return self
        return replace(
            self, buffer=_buffer(self.settings, self.spec, start.env_steps), replay_start=start
        )

    def updates_due(self, ticks: int) -> int:
        """Updates that are due after so many ticks of the run's clock."""
        return self.replay_start.updates_due(self.settings, ticks)

    def empty_replay(self, ending_rows: int | None = None) -> ReplayState | None:
        """An empty replay buffer; None with PQN.

        Args:
            ending_rows: rows for the last observations of episodes; None: those of a new buffer.
        """
        if self.buffer is None:
            return None
        if self.settings.is_offline:
            return self.empty_data(ending_rows)
        return init_replay(self.buffer, self.spec, self.settings.round_ticks, ending_rows)

    def empty_data(self, ending_rows: int | None = None) -> ReplayState:
        """The buffer of the data set without its content; arguments as of `empty_replay`."""
        assert self.data is not None, "the run learns from no data set"
        buffer = self.demonstrations or self.replay
        return init_replay(buffer, self.spec, 1, ending_rows or self.data.num_episodes)


def _buffer(
    settings: Settings, spec: EnvironmentSpec, first_env_step: int = 0
) -> ReplayBuffer | None:
    if not settings.has_replay:
        return None
    return make_replay(settings, spec.preprocessing.frame_stack, first_env_step)


def _data_buffer(
    settings: Settings, spec: EnvironmentSpec, data: DataOrigin | None
) -> ReplayBuffer:
    if data is None:
        raise SettingError(
            "the run learns from a data set, and its config.toml lacks the table [learned_data], "
            "which says from which one: it is damaged"
        )
    return make_data_replay(settings, data.num_steps, spec.preprocessing.frame_stack)


class TrainState(NamedTuple):
    """The state between two rounds; with the source's snapshot it is the whole state of a run."""

    learner: LearnerState
    replay: ReplayState | None
    """None with PQN."""
    behaviour_params: Float[Array, " weight"]
    """Parameters with which the next round acts; with `overlap` one round older than `params`."""
    params: Float[Array, " weight"]
    """Copy of `learner.params` that is not donated to a later call."""
    eval_params: Float[Array, " weight"]
    """Copy of `learner.eval_params`, likewise."""
    ticks: int
    """Of the run's clock so far: env steps, or updates of a run that does not act."""
    updates: int
    demonstrations: ReplayState | None = None
    """The data set of which each batch has a share; None: all of a batch is from `replay`."""
