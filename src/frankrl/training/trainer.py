"""The training loop: rounds, and between them metrics, evaluations and checkpoints.

It is a generator of events, so displaying and controlling a run stay outside.
"""

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float

from frankrl.core.errors import DivergedError, FrankError, warn
from frankrl.core.figures import counted
from frankrl.core.numerics import own_numerics, stepped
from frankrl.core.types import Params
from frankrl.datasets import DataSet
from frankrl.runs import RunDescription, RunFolder, tidy_checkpoints
from frankrl.training.device.rounds import device_rounds
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Checkpointed, Evaluated, Event, Finished, SavingFailed, Solved
from frankrl.training.initial import InitialWeights
from frankrl.training.initial_state import init_train_state
from frankrl.training.journal import Journal
from frankrl.training.marks import Marks
from frankrl.training.parts import make_parts
from frankrl.training.periodic_evaluation import PeriodicEvaluator
from frankrl.training.remote import MakeSource
from frankrl.training.restoring import restored
from frankrl.training.resuming import read_run
from frankrl.training.rounds import Round
from frankrl.training.saving import RunFiles, content_of
from frankrl.training.state import Experiment, TrainState
from frankrl.training.stepping import MakeRounds
from frankrl.training.surroundings import Surroundings


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
        self.experiment = experiment
        self.settings = description.settings
        self.seed = description.seed
        self.folder: RunFolder
        self.ticks = 0
        """Of the run's clock so far: env steps, or updates of a run that does not act."""
        self.updates = 0
        self._started = time.perf_counter() if started is None else started
        self._clock_began = self._started
        self._startup_seconds: float | None = None
        self.dataset: DataSet | None = None
        """The data set of the run, if this command named it."""
        self._parts = make_parts(experiment, make_source, make_rounds)
        self.notes = self._parts.notes
        """What should be known of the environment before training, a line each."""
        self._source = self._parts.stepping.source
        self._evaluator = PeriodicEvaluator(
            experiment, self._parts.evaluator, self._source.statistics
        )
        self._journal = Journal(self.settings)
        self._marks = Marks(self.settings.clock)
        self._files: RunFiles | None = None
        in_lane = make_rounds is not device_rounds
        self._surroundings = Surroundings.now(experiment, in_lane=in_lane)
        self.untold: list[Event] = []
        """Events of the last round that come after the newest one; a run that is saved before
        continues after them."""

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
        keep, best = self.settings.saving.keep_checkpoints, self._evaluator.best
        self._files = RunFiles(folder, path, keep, self._journal, best)
        self.folder = folder

    @property
    def _open_files(self) -> RunFiles:
        assert self._files is not None, "a run that has begun writes into its folder"
        return self._files

    def _go_back(self, description: RunDescription) -> None:
        """Restore the newest intact checkpoint."""
        folder = self.folder
        # This comes first, because it may complete a checkpoint of a killed process.
        tidy_checkpoints(folder.checkpoints)
        found = read_run(folder, self.experiment, self._parts.stepping.stand_at)
        self.experiment, metadata = found.experiment, found.metadata
        self._evaluator.stand_at(metadata, found.best, folder)
        for error in found.damaged:
            warn(f"{error}; this checkpoint is set aside, the one before it is used")
        self._stand_at(restored(found, self._source, self._surroundings, self._marks))
        self._started -= metadata.seconds
        self._open_files.go_back(found)
        missing = self._journal.go_back(
            folder, metadata.env_steps, metadata.episodes, found.interval
        )
        if missing:
            self._marks.mark(
                self.ticks, f"the metrics lack the rows of {counted(missing, 'episode')}"
            )
        self._journal.note_not_reproducible(self._marks.not_reproducible)
        self.folder = folder.with_description(description)

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
            before, restarts_before = self.ticks, len(self._marks.restarts)
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
            told = [
                *self._marks.restarts[restarts_before:],
                *([] if progress is None else [progress]),
            ]
            for number, event in enumerate(told, 1):
                self.untold = told[number:]
                yield event
            if progress is not None:
                yield from self._open_files.save_metrics(self.ticks)
            if self._evaluator.due:
                yield from self._evaluate()
            if self._crossed(before, settings.checkpoint_every):
                yield from self._checkpoint()
                tried_at = self.ticks
        if tried_at != self.ticks or self._open_files.unsaved:
            yield from self._checkpoint()
        yield from self._save_best()
        yield self._finish()
        yield from self._open_files.save_metrics_durably(self.ticks)

    def _rounds(self) -> Iterator[Round]:
        return self._parts.stepping.rounds(self.experiment, self.state(), self._next_stop)

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
        return self._open_files.unsaved

    def close(self) -> None:
        """Close environments and files."""
        self._parts.close()
        self._journal.close()
        if self._files is not None:
            self._files.close()

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
        restarts, marks = self._marks.take(result.collected, ticks_before)
        self._journal.note_restarts(restarts)
        self._journal.note_not_reproducible(marks)

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
        content = content_of(
            self.experiment,
            self.state(),
            self._parts.stepping,
            self._evaluator,
            self._journal,
            self._marks,
            self._surroundings,
            self._seconds(),
        )
        yield from self._save_best()
        yield from self._open_files.checkpoint(self.ticks, content)

    def _save_best(self) -> Iterator[SavingFailed]:
        until = math.inf if self._is_over() else self.ticks
        return self._open_files.save_best(self.ticks, until)

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
            self._marks.not_reproducible,
            self._marks.restarts,
            stopped,
        )
