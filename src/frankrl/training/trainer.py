"""The training loop: rounds, and between them metrics, evaluations and checkpoints.

It is a generator of events, so displaying and controlling a run stay outside.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float

from frankrl.core.errors import DivergedError, FrankError, warn
from frankrl.core.figures import counted
from frankrl.core.numerics import own_numerics, stepped
from frankrl.core.text import shown
from frankrl.core.types import FailedEpisode, Params
from frankrl.datasets import DataSet
from frankrl.environments import (
    EnvironmentSpec,
    GymnasiumVector,
    described_for_evaluation,
    make_vector,
    objects_among,
    spec_to_data,
    start_worker_pool,
    try_out,
)
from frankrl.environments.functional import is_functional
from frankrl.environments.trial import Trial
from frankrl.experience import AsynchronousSource, HostPolicy, HostSource, make_policy
from frankrl.experience.remote.processes import ProcessActors
from frankrl.replay import cut_short
from frankrl.runs import (
    RunDescription,
    RunFolder,
    RunLock,
    all_versions,
    differences,
    machine_facts,
    set_aside,
    tidy_checkpoints,
)
from frankrl.training.asynchronous import asynchronous
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.checkpoint_writer import CheckpointWriter
from frankrl.training.codec import to_tensors
from frankrl.training.data import restored_data
from frankrl.training.device.rounds import device_rounds
from frankrl.training.environment_notes import check_lending, notes_on
from frankrl.training.evaluation import Evaluation, Evaluator
from frankrl.training.events import (
    Checkpointed,
    EnvironmentRestarted,
    Evaluated,
    Event,
    Finished,
    NotReproducible,
    SavingFailed,
    Solved,
)
from frankrl.training.initial import InitialWeights
from frankrl.training.journal import Journal
from frankrl.training.periodic_evaluation import PeriodicEvaluator
from frankrl.training.players import NO_PLAYERS, PlayerPlan, Players, start_players
from frankrl.training.remote import MakeSource
from frankrl.training.resuming import Found, read_run
from frankrl.training.rounds import Round
from frankrl.training.state import Experiment, TrainState, init_train_state
from frankrl.training.stepping import MakeRounds, on_device, on_host

_ALONE = "it was one program with the runs of other seeds, and goes on alone"
_TOGETHER = "it was alone, and goes on as one program with the runs of other seeds"


class Trainer:
    """A run in progress: begin or resume it, then iterate over its events."""

    def __init__(
        self,
        description: RunDescription,
        experiment: Experiment,
        started: float | None,
        make_source: MakeSource | None = None,
        make_rounds: MakeRounds = device_rounds,
    ) -> None:
        """Make everything that a run needs, before anything is written.

        Args:
            description: the run's description.
            experiment: the run's experiment.
            started: `time.perf_counter()` at which the run's clock started; None: now.
            make_source: makes the source of experience; None: environments are stepped here, or by
                actors that run freely in processes of this machine.
            make_rounds: makes the rounds of a run on the device; those of several runs may be one
                program.
        """
        self._in_lane = make_rounds is not device_rounds
        spec = experiment.spec
        if make_source is None and description.settings.environment.asynchronous_actors:
            make_source = asynchronous(ProcessActors)
        elif make_source is None and description.settings.is_offline:
            make_source = restored_data
        self.experiment = experiment
        self.settings = description.settings
        self.seed = description.seed
        self.folder: RunFolder
        self.ticks = 0
        self.updates = 0
        self._started = time.perf_counter() if started is None else started
        self._clock_began = self._started
        self._startup_seconds: float | None = None
        evaluated = described_for_evaluation(spec, description.settings.evaluation)
        trial = try_out(spec)
        evaluated_trial = trial if evaluated is spec else try_out(evaluated)
        check_lending(experiment, trial)
        self.notes = notes_on(experiment, trial)
        """What should be known of the environment before training, a line each."""
        self.dataset: DataSet | None = None
        """The data set of the run, if this command named it."""
        evaluation = self.settings.evaluation
        on_training = evaluation.evaluation_on == "training"
        lend = None
        # First, because it may refuse the run.
        if description.settings.environment.source == "device":
            stepping = on_device(experiment, make_rounds)
        else:
            stepping = make_source and on_host(make_source(experiment))
        players = self._started_players(evaluated, evaluated_trial)
        self._workers = start_worker_pool(
            self.settings.environment,
            trial.step_seconds,
            1 if on_training or players else evaluation.evaluation_envs,
            overlap=self.settings.training.overlap,
            objects=objects_among(spec.env_id, (*spec.wrappers, *evaluated.wrappers)),
            trains=stepping is None,
        )
        if stepping is None:
            envs = make_vector(self.settings.environment, spec, self.seed, self._workers.training)
            stepping = on_host(HostSource(self.settings, experiment.network, self.seed, envs))
            lend = envs.lent if on_training and isinstance(envs, GymnasiumVector) else None
        self._stepping, self._source = stepping, stepping.source
        evaluator = Evaluator(
            evaluated,
            self._workers.evaluation,
            evaluation,
            lend=lend,
            keep_envs=evaluated_trial.repeats and not evaluated.running_statistics,
            restarts=self.settings.environment.restart_failed_envs > 0,
            players=players,
        )
        self._evaluator = PeriodicEvaluator(self.experiment, evaluator, self._source.statistics)
        self._journal = Journal(self.settings)
        self._lock: RunLock | None = None
        self._checkpoint_writer: CheckpointWriter
        self._versions, self._machine = all_versions(self.settings), machine_facts()
        self._environment = spec_to_data(spec)
        self._not_reproducible: tuple[NotReproducible, ...] = ()
        self._restarts: tuple[EnvironmentRestarted, ...] = ()
        self.untold: list[Event] = []
        """Events of the last round that come after the newest one; a run that is saved before
        continues after them."""
        self._said_missing: set[str] = set()
        """Names of own metrics of which it was said that an info lacks them."""

    def _started_players(self, evaluated: EnvironmentSpec, trial: Trial) -> Players:
        """Processes that play episodes of evaluations, where that is possible and worth it."""
        settings = self.settings
        evaluation, environment = settings.evaluation, settings.environment
        policy = make_policy(settings.training.acting, self.experiment.network)
        if (
            not isinstance(policy, HostPolicy)
            or not trial.repeats
            or evaluated.running_statistics
            or is_functional(evaluated)
            # One of several runs in this process.
            or self._in_lane
            or evaluation.evaluation_on == "training"
            or evaluation.final_evaluation_episodes is None
            or environment.worker_processes is not None
            or environment.restart_failed_envs
            or objects_among(evaluated.env_id, evaluated.wrappers)
        ):
            return NO_PLAYERS
        most_steps = evaluation.evaluation_max_episode_steps
        return start_players(
            PlayerPlan(evaluated, self.experiment.network, most_steps),
            trial.step_seconds,
            settings.budget,
            evaluation.evaluation_envs,
        )

    @classmethod
    def begin(
        cls,
        path: Path,
        description: RunDescription,
        experiment: Experiment,
        *,
        initial: InitialWeights | None = None,
        overwrite: bool = False,
        started: float | None = None,
        make_source: MakeSource | None = None,
        make_rounds: MakeRounds = device_rounds,
        make_state: Callable[[Experiment, Params | None], TrainState] = init_train_state,
    ) -> "Trainer":
        """Begin a run; its folder is made after everything else.

        Args:
            path: the run's folder.
            description: the run's description.
            experiment: the run's experiment.
            initial: the weights to begin with; None: drawn by the seed.
            overwrite: replace an existing run.
            started: as in `__init__`.
            make_source: likewise.
            make_rounds: likewise.
            make_state: makes the state to begin with.

        Raises:
            RunFolderError: the folder cannot be made.
            EnvironmentFailedError: an environment fails at its first reset.
        """
        training = cls(description, experiment, started, make_source, make_rounds)
        try:
            training._evaluator.prepare()
            if initial is not None:
                training.notes.append(initial.note)
            training._stand_at(make_state(experiment, initial and initial.params))
            folder = RunFolder.create(
                path, description, initial=initial and initial.content, overwrite=overwrite
            )
            training._write_into(folder, path)
            training._journal.open(folder)
        except BaseException:
            training.close()
            raise
        return training

    @classmethod
    def resume(
        cls,
        folder: RunFolder,
        experiment: Experiment,
        *,
        started: float | None = None,
        make_source: MakeSource | None = None,
        make_rounds: MakeRounds = device_rounds,
    ) -> "Trainer":
        """Continue a run from its newest intact checkpoint.

        Args:
            folder: the run's folder.
            experiment: the run's experiment, with the settings for continuing.
            started: as in `__init__`.
            make_source: likewise.
            make_rounds: likewise.

        Raises:
            RunFolderError: there is no usable checkpoint.
            SettingError: the run has already done more than the budget.
        """
        description = dataclasses.replace(folder.description, settings=experiment.settings)
        training = cls(description, experiment, started, make_source, make_rounds)
        try:
            training._evaluator.prepare()
            training._write_into(folder, folder.path)
            training._go_back(description)
        except BaseException:
            training.close()
            raise
        return training

    def _write_into(self, folder: RunFolder, path: Path) -> None:
        """Lock the folder for writing."""
        self._lock = RunLock(folder.path, path)
        self.folder = folder
        keep = self.settings.saving.keep_checkpoints
        self._checkpoint_writer = CheckpointWriter(folder, keep, self._lock.check)

    def _go_back(self, description: RunDescription) -> None:
        """Restore the newest intact checkpoint."""
        folder = self.folder
        # This comes first, because it may complete a checkpoint of a killed process.
        tidy_checkpoints(folder.checkpoints)
        found = read_run(folder, self.experiment, self._stepping.stand_at)
        self.experiment = found.experiment
        self._checkpoint_writer.held.hold(found.loaded.path, found.loaded.chunks)
        self._evaluator.best.restore(found.metadata.best, found.best, folder)
        for error in found.damaged:
            warn(f"{error}; this checkpoint is set aside, the one before it is used")
        self._stand_at(self._restored(found))
        self._evaluator.solved = found.metadata.solved
        self._evaluator.due = found.metadata.evaluation_due
        self._started -= found.metadata.seconds
        set_aside(error.checkpoint for error in found.damaged if error.checkpoint)
        metadata = found.metadata
        self._evaluator.best.save(folder, metadata.env_steps)
        missing = self._journal.go_back(
            folder, metadata.env_steps, metadata.episodes, found.interval
        )
        if missing:
            self._mark(
                metadata.env_steps, f"the metrics lack the rows of {counted(missing, 'episode')}"
            )
        self._journal.note_not_reproducible(self._not_reproducible)
        self.folder = folder.with_description(description)

    def _restored(self, found: Found) -> TrainState:
        """The state of a checkpoint; restores the environments and notes what is not bit-exact."""
        metadata, state = found.metadata, found.state
        before = metadata.versions | metadata.machine
        reasons = differences(before, self._versions | self._machine)
        if metadata.in_lane != self._in_lane:
            reasons.append(_ALONE if metadata.in_lane else _TOGETHER)
        if found.actors is not None:
            assert isinstance(self._source, AsynchronousSource)
            self._source.stand_at(found.actors, found.experiment.updates_due)
        different = self._source.restore(found.logs)
        self._source.restore_statistics(*found.statistics, different)
        self._source.restore_memory(found.memory, different)
        if different:
            # The buffer has no running episode of an actor that runs freely.
            cut = [] if found.actors is not None else different
            assert state.replay is not None, "environments on the device replay nothing"
            replay = cut_short(self.experiment.replay, state.replay, cut)
            state = state._replace(replay=replay)
            which = ", ".join(map(str, different))
            reasons.append(f"environment {which} did not replay to the same bits")
        if not metadata.holds_replay and metadata.env_steps:
            again = counted(self.settings.training.learning_starts_env_steps, "env step")
            reasons.append(
                "its checkpoint holds no replay buffer (checkpoint_replay none, or pulled without "
                f"it): it begins with an empty one and collects {again} before it updates again"
            )
        self._not_reproducible = metadata.not_reproducible
        self._restarts = metadata.environment_restarts
        most = self.settings.environment.restart_failed_envs
        self._source.allow_restarts(max(0, most - len(self._restarts)))
        for reason in reasons:
            self._mark(state.ticks, reason)
        return state

    def _mark(self, ticks: int, reason: str) -> NotReproducible:
        """Warn, and record, that the run may differ in its bits from here on."""
        warn(f"not bit-exact from {self.settings.clock.at(ticks)}, because {reason}")
        mark = NotReproducible(ticks, reason)
        self._not_reproducible = (*self._not_reproducible, mark)
        return mark

    def state(self) -> TrainState:
        """The training state; read it before the next event."""
        return self._state()

    def events(self, stop_requested: Callable[[], bool] = lambda: False) -> Iterator[Event]:
        """Train to the end of the budget, or until the run is solved or a stop is requested.

        Args:
            stop_requested: called after every round; if true, the run is saved and ends.

        Raises:
            DivergedError: a loss, gradient or weight is not finite.
            EnvironmentFailedError: an environment failed. In both cases the last
                checkpoint stays.
            RunFolderError: the run folder is gone.
        """
        return (event for event in self.paced_events(stop_requested) if event is not None)

    def paced_events(self, stop_requested: Callable[[], bool]) -> Iterator[Event | None]:
        """The events of a training, and None before each round, which begins when the next item is
        asked for; arguments and errors as of `events`."""
        return stepped(self._events(stop_requested))

    def _events(self, stop_requested: Callable[[], bool]) -> Iterator[Event | None]:
        settings = self.settings
        self._evaluator.stop_requested = stop_requested
        tried_at = self.ticks or None
        if self._evaluator.due:
            # The existing checkpoint lacks the result of this evaluation.
            tried_at = None
            yield from self._evaluate()
        results = self._rounds()
        while not stop_requested() and not self._is_over():
            before, restarts_before = self.ticks, len(self._restarts)
            yield None
            self._take(next(results))
            # Before any event: if its receiver fails, the resumed run lacks nothing of this round.
            self._evaluator.due = (
                self._crossed(before, settings.evaluate_every)
                and self.ticks >= settings.evaluation.evaluation_starts_env_steps
            )
            progress = None
            if self._crossed(before, settings.log_every):
                progress = self._journal.log(
                    self.ticks, self.updates, self._seconds(), self._source.digests()
                )
            told = [*self._restarts[restarts_before:], *([] if progress is None else [progress])]
            for number, event in enumerate(told, 1):
                self.untold = told[number:]
                yield event
            if progress is not None:
                yield from self._save_metrics()
            if self._evaluator.due:
                yield from self._evaluate()
            if self._crossed(before, settings.checkpoint_every):
                yield from self._checkpoint()
                tried_at = self.ticks
        if tried_at != self.ticks or self._checkpoint_writer.unsaved:
            yield from self._checkpoint()
        yield from self._save_best()
        yield self._finish()
        yield from self._checkpoint_writer.attempt(
            "metrics", self.ticks, self._journal.make_durable
        )

    def _rounds(self) -> Iterator[Round]:
        return self._stepping.rounds(self.experiment, self.state(), self._next_stop)

    def _next_stop(self, ticks: int) -> int:
        """The next tick of the clock after which something is due."""
        settings = self.settings
        every = (settings.evaluate_every, settings.log_every, settings.checkpoint_every)
        ends = [(ticks // each + 1) * each for each in every if each is not None]
        return min(*ends, settings.budget)

    @property
    def solved(self) -> Solved | None:
        """When the run solved its environment; None if it has not."""
        return self._evaluator.solved

    def watch_own_metrics(self, on_values: Callable[[int, Mapping[str, float]], None]) -> None:
        """Have a function called with numbers of the user's own as they are recorded.

        Args:
            on_values: takes the ticks of the run's clock and numbers by name.
        """
        self._journal.on_own_metrics = on_values

    def watch_episodes(self, on_episode: Callable[[int, int], None]) -> None:
        """Have a function called as the episodes of every evaluation end.

        Args:
            on_episode: takes the episodes that have ended and the episodes to play.
        """
        self._evaluator.on_episode = on_episode

    @own_numerics()
    def save(self) -> bool:
        """Write a checkpoint of the last complete round, after something has failed.

        Returns:
            Whether there is one now; not before the first round, nor if writing fails as well.
        """
        written: list[Event] = []
        if self.ticks:
            with contextlib.suppress(FrankError):
                written += self._checkpoint()
        return any(isinstance(event, Checkpointed) for event in written)

    @property
    def unsaved(self) -> str:
        """What could not be written, and why; empty if everything was."""
        return self._checkpoint_writer.unsaved

    def close(self) -> None:
        """Close environments and files."""
        self._source.close()
        self._evaluator.close()
        self._workers.close()
        self._journal.close()
        if self._lock is not None:
            self._lock.release()

    def _is_over(self) -> bool:
        solved = self.settings.evaluation.until_solved and self._evaluator.solved is not None
        return solved or self.ticks >= self.settings.budget

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _crossed(self, before: int, every: int | None) -> bool:
        return every is not None and self.ticks // every > before // every

    def _stand_at(self, state: TrainState) -> None:
        self.ticks, self.updates = state.ticks, state.updates
        self._eval_params: Callable[[], Float[Array, " weight"]] = lambda: state.eval_params
        self._state: Callable[[], TrainState] = lambda: state

    def _take(self, result: Round) -> None:
        if self._startup_seconds is None:
            result.output()
            self._startup_seconds = time.perf_counter() - self._clock_began
        updates_before, ticks_before = self.updates, self.ticks
        self.ticks, self.updates = result.ticks, result.updates
        self._eval_params, self._state = lambda: result.output().eval_params, result.state
        self._journal.take(result, updates_before)
        for info in result.collected.final_infos.values():
            if not self._said_missing.issuperset(info.missing):
                self._say_missing(info.missing)
        if result.collected.failed:
            self._take_failed(result.collected.failed, ticks_before)
        if reasons := result.collected.not_exact_because:
            marks = [self._mark(ticks_before, reason) for reason in reasons]
            self._journal.note_not_reproducible(marks)

    def _say_missing(self, missing: Mapping[str, str]) -> None:
        """Say once of each own metric why it is not there."""
        for name, reason in missing.items():
            if name not in self._said_missing:
                warn(f"info_metrics: there is no {name} at the end of an episode: {reason}")
        self._said_missing |= missing.keys()

    def _take_failed(self, failed: Iterable[FailedEpisode], ticks_before: int) -> None:
        """Record the episodes that were dropped in the last round."""
        restarts = [
            EnvironmentRestarted(each.env_steps, each.env_index, shown(each.reason), each.episode)
            for each in failed
        ]
        self._restarts = (*self._restarts, *restarts)
        self._journal.note_restarts(restarts)
        reasons = dict.fromkeys(each.not_exact_because for each in failed)
        self._journal.note_not_reproducible(
            [self._mark(ticks_before, reason) for reason in reasons if reason]
        )

    def note_own_metrics(self, event: Event, values: Mapping[str, float]) -> None:
        """Record numbers of the caller's own at an event."""
        self._journal.note_own_metrics(event.env_steps, values)

    def _evaluate(self) -> Iterator[Event]:
        """Play the evaluation of this moment."""
        for event in self._evaluator.evaluate(self.ticks, self._weights(), self._seconds):
            if isinstance(event, Evaluated):
                self._journal.log_evaluation(
                    self.ticks, self.updates, event.purpose, event.evaluation
                )
            yield event
        yield from self._save_best()

    def _weights(self) -> Float[np.ndarray, " weight"]:
        """The parameters for greedy acting, after checking that they are finite."""
        self._journal.check()
        weights = np.asarray(self._eval_params())
        if not np.isfinite(weights).all():
            raise DivergedError(
                f"training diverged by update {self.updates:,} "
                f"({self.settings.clock.at(self.ticks)}): a weight is not finite; try a "
                "lower learning_rate"
            )
        return weights

    def _checkpoint(self) -> Iterator[Checkpointed | SavingFailed]:
        interval = self._journal.interval()
        logs = self._source.snapshot()
        source = self._source
        actors = source.actors_state() if isinstance(source, AsynchronousSource) else None
        tensors, chunks = to_tensors(
            *(self.experiment, self.state(), logs, interval),
            *(source.statistics(), actors, source.memory()),
        )
        tensors |= self._stepping.tensors()
        metadata = CheckpointMetadata(
            self.experiment.spec.env_id,
            self._environment,
            self.ticks,
            self.updates,
            self._journal.episodes,
            self.experiment.replay_start,
            self.settings.saving.checkpoint_replay == "all",
            self._evaluator.due,
            self._in_lane,
            self._seconds(),
            self._evaluator.solved,
            self._evaluator.best.best,
            self._not_reproducible,
            self._restarts,
            self._versions,
            self._machine,
        )
        yield from self._save_best()
        yield from self._checkpoint_writer.checkpoint(
            self.ticks,
            tensors | self._evaluator.best.for_checkpoint(),
            chunks,
            metadata.info(),
            self._journal.make_durable,
        )

    def _save_metrics(self) -> Iterator[SavingFailed]:
        return self._checkpoint_writer.attempt("metrics", self.ticks, self._journal.save)

    def _save_best(self) -> Iterator[SavingFailed]:
        at = math.inf if self._is_over() else self.ticks
        return self._checkpoint_writer.attempt(
            "best agent", self.ticks, lambda: self._evaluator.best.save(self.folder, at)
        )

    def _finish(self) -> Finished:
        """Play the final evaluation if the run has reached its end."""
        evaluation, stopped = None, True
        if self._is_over() and not self._evaluator.due:
            evaluation = self._evaluator.final(self.ticks, self._weights())
            wanted = self.settings.evaluation.final_evaluation_episodes is not None
            stopped = wanted and evaluation is None
        if evaluation is not None:
            self._journal.log_evaluation(self.ticks, self.updates, "final", evaluation)
        return self.ended(evaluation, stopped=stopped)

    def ended(self, evaluation: Evaluation | None, *, stopped: bool) -> Finished:
        """What the run has come to if nothing more is done.

        Args:
            evaluation: that of the final policy.
            stopped: whether the run ends before its end.
        """
        return Finished(
            self.ticks,
            self.updates,
            self._seconds(),
            self._startup_seconds or 0.0,
            self._evaluator.solved,
            self._evaluator.best.best,
            evaluation,
            self._not_reproducible,
            self._restarts,
            stopped,
        )
