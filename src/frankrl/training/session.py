"""A run from its first round to its report."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from frankrl.core.absent import is_absent
from frankrl.core.errors import (
    ActorsLostError,
    EnvironmentFailedError,
    EnvironmentUnusableError,
    RunFolderError,
    SettingError,
)
from frankrl.core.figures import figure
from frankrl.core.stopping import StoppedAtOnceError
from frankrl.core.text import given
from frankrl.core.text import shown as shown_text
from frankrl.core.wording import resuming
from frankrl.environments import SUCCESS, finite_number
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.trackers import Trackers
from frankrl.training import Checkpointed, Estimating, Event, Finished, SavingFailed, Stop, Trainer
from frankrl.training.estimate import UPDATES_PER_CALL, estimate_of
from frankrl.training.in_words import spread_of
from frankrl.training.result import TrainingResult
from frankrl.training.scalars import OwnNumbers, earlier_scalars, scalars

Metrics = Callable[[Event], Mapping[str, Any] | None]
"""Gives numbers by name at an event of a training, or None."""

_WITHOUT_METRICS = (Checkpointed, SavingFailed, Finished)
"""Events that depend on where a run was interrupted: what is recorded must not."""


def run_to_end(
    training: Trainer,
    on_event: Callable[[Event], Stop | None],
    stop_requested: Callable[[], bool] = lambda: False,
    metrics: Metrics | None = None,
    *,
    stop: Stop | None = None,
) -> TrainingResult:
    """Train to the end and write the report.

    Args:
        training: the run.
        on_event: called with every event; a `Stop` ends the run.
        stop_requested: called after every round; if true, the run is saved and ends.
        metrics: gives numbers of its own to record at an event.
        stop: ends the run before its next round; of a run that was killed after `on_event` had
            returned it.

    Raises:
        FrankError: training cannot go on, or the folder cannot be written; the last
            checkpoint stays.
    """
    continued_at = training.ticks
    solved_before = training.solved
    with contextlib.ExitStack() as stack:
        stack.callback(training.close)
        trackers = Trackers(
            training.folder, lambda: earlier_scalars(training.folder, continued_at, solved_before)
        )
        stack.callback(trackers.close)
        own_numbers = OwnNumbers(trackers.log)
        stack.callback(own_numbers.flush)
        training.watch_own_metrics(own_numbers.take)

        def tracked(event: Event) -> Stop | None:
            trackers.log(event.env_steps, scalars(event))
            return on_event(event)

        def own_metrics(event: Event) -> None:
            if metrics is not None and not isinstance(event, _WITHOUT_METRICS):
                of_infos = (SUCCESS, *training.settings.environment.info_metrics)
                training.note_own_metrics(event, _checked(metrics(event), of_infos))

        finished, stop = _trained(training, tracked, own_metrics, stop_requested, stop)
        result = write_report(training, finished, stop)
        return _estimated(training, result, on_event, stop_requested)


def _trained(
    training: Trainer,
    on_event: Callable[[Event], Stop | None],
    own_metrics: Callable[[Event], None],
    stop_requested: Callable[[], bool],
    stop: Stop | None,
) -> tuple[Finished, Stop | None]:
    """Train to the end; where an environment or the caller fails, what stands is saved first."""
    finished = None
    events = training.events(lambda: stop is not None or stop_requested())
    while (event := _next(training, events)) is not None:
        try:
            # First the numbers: if `on_event` fails, the run that continues has them.
            own_metrics(event)
            answer = on_event(event)
        except StoppedAtOnceError:
            raise
        except BaseException:
            with contextlib.suppress(Exception):
                for missed in training.untold:
                    own_metrics(missed)
            training.save()
            raise
        if isinstance(answer, Stop):
            stop = stop or answer
        if isinstance(event, Finished):
            finished = event
    assert finished is not None
    return finished, stop


def _next(training: Trainer, events: Iterator[Event]) -> Event | None:
    """The next event; None after the last one."""
    try:
        return next(events, None)
    except (EnvironmentFailedError, EnvironmentUnusableError, ActorsLostError) as error:
        if not training.save():
            raise
        raise type(error)(
            f"{error}; the run is saved up to {training.settings.clock.at(training.ticks)}: "
            f"{resuming(training.folder.path)}"
        ) from error


def _checked(values: Any, taken: Collection[str]) -> dict[str, float]:
    """What a function of own metrics returned, as numbers by name.

    Args:
        values: what it returned.
        taken: names of the entries of `info` that are recorded.

    Raises:
        SettingError: it returned something else.
    """
    entries = {} if values is None else values
    if not isinstance(entries, Mapping):
        raise SettingError(
            f"metrics must return numbers by name, such as {{'energy': 1.5}}, or None; it returned "
            f"{given(values)}"
        )
    numbers = {}
    for name, value in entries.items():
        if name in taken:
            raise SettingError(
                f"metrics must return other names than those of the entries of info that are "
                f"recorded ({', '.join(taken)}), got {name!r}"
            )
        number = finite_number(value)
        if not isinstance(name, str) or number is None:
            raise SettingError(
                f"metrics must return finite numbers by name; for {given(name)} it returned "
                f"{given(value)}"
            )
        numbers[name] = number
    return numbers


def write_report(training: Trainer, finished: Finished, stop: Stop | None) -> TrainingResult:
    """Write the report of a run that has ended.

    Raises:
        RunFolderError: not all of the run could be written.
    """
    solved = finished.solved
    result = TrainingResult(
        run=training.folder.path,
        env_steps=finished.env_steps,
        updates=finished.updates,
        seconds=finished.seconds,
        startup_seconds=finished.startup_seconds,
        solved=solved and {"env_steps": solved.env_steps, "seconds": round(solved.seconds, 3)},
        best=finished.best and finished.best._asdict(),
        evaluation=finished.evaluation and finished.evaluation.summary(),
        not_reproducible=[mark._asdict() for mark in finished.not_reproducible],
        clock=training.settings.clock,
        environment_restarts=[each._asdict() for each in finished.environment_restarts],
        stopped=finished.stopped,
        stop_reason=shown_text(stop.reason) if stop and finished.stopped else None,
    )
    unsaved = training.unsaved
    try:
        training.folder.write_report(result.report())
    except OSError as error:
        unsaved = unsaved or f"report: {error}"
    if unsaved:
        raise RunFolderError(_unsaved(training.folder, result, unsaved))
    return result


def _unsaved(folder: RunFolder, result: TrainingResult, reasons: str) -> str:
    there = list_checkpoints(folder.checkpoints)
    returned = ""
    if result.evaluation:
        mean = figure(result.evaluation["mean_return"], spread_of(result.evaluation))
        returned = f" (mean return {mean})"
    then = "it has no checkpoint, so begin it again"
    if there:
        then = (
            f"its newest checkpoint is {there[-1]}. Repair the disk, then: {resuming(folder.path)}"
        )
    return (
        f"training went to {result.clock.at(result.env_steps)}{returned}, but not all of it could "
        f"be saved: {reasons}; {then}"
    )


def _estimated(
    training: Trainer,
    result: TrainingResult,
    on_event: Callable[[Event], Stop | None],
    stop_requested: Callable[[], bool],
) -> TrainingResult:
    """The result of a run without an environment with its estimate, also in its report.

    Args:
        training: the run; its report is written.
        result: its outcome; as it is of a run with an environment, or that was stopped.
        on_event: called with how far the estimate is; a `Stop` ends it.
        stop_requested: if true, it ends without a result.

    Raises:
        RunFolderError: the report could not be written.
    """
    if result.stopped or not is_absent(training.folder.description.env_id):
        return result

    def on_update(done: int, of: int) -> bool:
        answer = None
        if _is_tenth(done, of):
            answer = on_event(Estimating(training.ticks, done, of))
        return isinstance(answer, Stop) or stop_requested()

    estimate = estimate_of(training.folder, training.dataset, on_update)
    if estimate is None:
        return result
    result = replace(result, estimate=estimate)
    try:
        training.folder.write_report(result.report())
    except OSError as error:
        raise RunFolderError(_unsaved(training.folder, result, f"report: {error}")) from error
    return result


def _is_tenth(done: int, of: int) -> bool:
    """Whether a further tenth of an estimate is done with these updates."""
    return 10 * done // of > 10 * max(done - UPDATES_PER_CALL, 0) // of
