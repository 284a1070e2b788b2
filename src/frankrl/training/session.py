"""A run from its first check to its report."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from frankrl.config import Clock, Settings
from frankrl.config.choices import shown
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import (
    ActorsLostError,
    EnvironmentFailedError,
    EnvironmentUnusableError,
    RunFolderError,
    SettingError,
)
from frankrl.core.figures import counted, figure
from frankrl.core.numerics import own_numerics
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.stopping import StoppedAtOnceError
from frankrl.core.text import given
from frankrl.core.text import shown as shown_text
from frankrl.core.wording import option, resuming
from frankrl.environments import (
    SUCCESS,
    EnvironmentSpec,
    describe_for,
    finite_number,
    is_absent,
)
from frankrl.inline.block import html_block
from frankrl.inline.curve import learning_curve
from frankrl.inline.media import newest_film
from frankrl.runs import (
    LEARNING,
    DataOrigin,
    RunDescription,
    RunFolder,
    all_versions,
    check_code,
    list_checkpoints,
    machine_facts,
)
from frankrl.runs.disk import refuse_shared
from frankrl.runs.folder import refuse_existing
from frankrl.runs.lock import LOCK
from frankrl.runs.metrics import metrics_files
from frankrl.trackers import Trackers, check_permitted, check_trackers
from frankrl.training import (
    Checkpointed,
    Estimating,
    Event,
    Experiment,
    Finished,
    SavingFailed,
    Stop,
    Trainer,
)
from frankrl.training.checkpoint_writer import WRITE_ERRORS
from frankrl.training.data import (
    check_same_in_group,
    open_data,
    origin_of,
    read_data,
    same_data,
    without_environment,
)
from frankrl.training.estimate import UPDATES_PER_CALL, estimate_of
from frankrl.training.in_words import mean_in_words, outcome_lines, spread_of
from frankrl.training.initial import InitialSource
from frankrl.training.preflight import (
    belongs_on_cpu,
    check_agent,
    check_device,
    check_disk,
    check_memory,
    check_threshold,
)
from frankrl.training.remote import MakeSource
from frankrl.training.resuming import newest_spec
from frankrl.training.scalars import OwnNumbers, earlier_scalars, scalars
from frankrl.training.where import with_source
from frankrl.training.with_symmetry import with_symmetry

_MAX_NAME = 60
"""Characters that a default folder takes from the names of environment and preset, so that they
fit into a file name, which takes 255 bytes."""

Metrics = Callable[[Event], Mapping[str, Any] | None]
"""Gives numbers by name at an event of a training, or None."""
_WITHOUT_METRICS = (Checkpointed, SavingFailed, Finished)
"""Events that depend on where a run was interrupted: what is recorded must not."""


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """The outcome of a run."""

    run: Path
    """The run folder."""
    env_steps: int
    updates: int
    seconds: float
    """Time since the run began; on the command line since the process started."""
    startup_seconds: float
    """Part of it up to the end of the first round: imports, environments, compilation."""
    solved: dict[str, Any] | None
    """`env_steps` and `seconds` of the first policy that reached the reward threshold."""
    best: dict[str, Any] | None
    """`env_steps` and `mean_return` of the best evaluation during training; its agent is
    `load(run, best=True)`."""
    evaluation: dict[str, Any] | None
    """Greedy episodes of the final policy; None if the run was stopped before its end, or without
    a final evaluation."""
    not_reproducible: list[dict[str, Any]]
    """`env_steps` from which the run may differ in its bits from an uninterrupted one, and the
    `reason`; empty for nearly every run."""
    environment_restarts: list[dict[str, Any]] = field(default_factory=list)
    """`env_steps`, `env_index`, `reason` and `episode` of each time that a training environment
    failed and was made anew (`restart_failed_envs`)."""
    stopped: bool = False
    """Whether a stop was requested before its end."""
    stop_reason: str | None = None
    """Why, if `on_event` has returned a `Stop`; None for a signal."""
    estimate: dict[str, Any] | None = None
    """Of a run without an environment: the discounted return of its final policy by fitted Q
    evaluation, an estimate; else None."""
    clock: Clock = Clock.ENV_STEPS
    """What the run counts, and what is called `env_steps` here: `env steps`, or `updates` of a run
    that does not act."""
    published: str | None = None
    """Where the run is published, if it was trained with `publish`. Without `out`, its run folder
    is removed after that: `frankrl.fetch` makes one anew."""

    def __repr__(self) -> str:
        lines = [f"{outcome_lines(self)[0]}: {self.run}"]
        if self.evaluation:
            lines.append(f"  {self._evaluated()}: {mean_in_words(self.evaluation)}")
        if self.solved:
            lines.append(f"  solved at {self.clock.at(self.solved['env_steps'])}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The result in a notebook, with its learning curve and its newest film."""
        head, *_ = outcome_lines(self)
        rows = [("run folder", str(self.run))]
        if self.evaluation:
            rows.append((self._evaluated(), mean_in_words(self.evaluation)))
        if self.solved:
            rows.append(("solved", f"at {self.clock.at(self.solved['env_steps'])}"))
        rows += [
            (f"not bit-exact from {self.clock.at(mark['env_steps'])} on", mark["reason"])
            for mark in self.not_reproducible
        ]
        return html_block(head, rows, learning_curve(self.run), newest_film(self.run))

    @classmethod
    def from_report(cls, report: Mapping[str, Any], run: Path) -> "TrainingResult":
        """The reverse of `report`, which may come from anyone.

        Args:
            report: the outcome as JSON data.
            run: the run folder.

        Raises:
            RunFolderError: it is no outcome.
        """
        outcome: dict[str, Any] = {name: report.get(name) for name in _TYPES}
        for name, kinds in _TYPES.items():
            if type(outcome[name]) not in kinds:
                raise RunFolderError(
                    f"the report of a run has the {name} {shown_text(outcome[name])}: it is damaged"
                )
        if outcome["clock"] not in tuple(Clock):
            raise RunFolderError(
                f"the report of a run has the clock {shown_text(outcome['clock'])}: it is damaged"
            )
        outcome["clock"] = Clock(outcome["clock"])
        return cls(run=run, **outcome)

    def _evaluated(self) -> str:
        assert self.evaluation is not None
        return f"evaluation of {counted(self.evaluation['episodes'], 'episode')}"

    def report(self) -> dict[str, Any]:
        """The outcome as JSON data."""
        return {
            "run": str(self.run),
            "env_steps": self.env_steps,
            "updates": self.updates,
            "seconds": round(self.seconds, 3),
            "startup_seconds": round(self.startup_seconds, 3),
            "solved": self.solved,
            "best": self.best,
            "evaluation": self.evaluation,
            "not_reproducible": self.not_reproducible,
            "environment_restarts": self.environment_restarts,
            "stopped": self.stopped,
            "stop_reason": self.stop_reason,
            "estimate": self.estimate,
            "clock": self.clock.value,
        }


_TYPES: dict[str, tuple[type, ...]] = {
    "env_steps": (int,),
    "updates": (int,),
    "seconds": (float, int),
    "startup_seconds": (float, int),
    "solved": (dict, type(None)),
    "best": (dict, type(None)),
    "evaluation": (dict, type(None)),
    "not_reproducible": (list,),
    "environment_restarts": (list,),
    "stopped": (bool,),
    "stop_reason": (str, type(None)),
    "estimate": (dict, type(None)),
    "clock": (str,),
}
"""What a report holds, besides the path of its run."""


@own_numerics()
def prepare(
    env_id: str,
    preset: str,
    settings: Settings,
    seed: int,
    out: str | os.PathLike[str] | None,
    *,
    initial: InitialSource | None = None,
    overwrite: bool = False,
    started: float | None = None,
    make_source: MakeSource | None = None,
) -> Trainer:
    """Check everything that can be checked, then begin a run.

    Args:
        env_id: name of the environment; empty: there is none, and the run learns from a data set.
        preset: name of the preset.
        settings: the run's settings.
        seed: the run's seed.
        out: the run's folder; None: one below `runs`.
        initial: where its first weights come from; None: drawn by the seed.
        overwrite: replace an existing run.
        started: as for `Trainer`.
        make_source: likewise.

    Raises:
        FrankError: something is not allowed; nothing has been written.
    """
    check_seed(seed)
    dataset, spec = open_data(settings), None
    if not env_id:
        env_id, settings, spec = without_environment(dataset, settings)
    seed, settings = int(seed), settings.resolved()
    path = _default_folder(env_id, preset, seed) if out is None else given_path(out, option("out"))
    # Before foreign code runs, which may change the working directory.
    path = path.absolute()
    refuse_existing(path, overwrite=overwrite)
    if dataset is not None:
        check_same_in_group(path, dataset)
    check_trackers(settings.saving.log)
    if settings.is_offline and make_source is not None:
        raise SettingError(
            "a run that learns from a data set alone has no environments for actors to step: leave "
            f"{option('actors')} out"
        )
    experiment = checked_experiment(
        *(env_id, settings, seed),
        in_actors=make_source is not None,
        data=dataset and origin_of(dataset),
        spec=spec,
    )
    check_memory(experiment)
    check_disk(path, experiment)
    check_threshold(settings, experiment.spec)
    weights = initial and initial.weights(experiment)
    description = RunDescription(
        *(env_id, preset, seed, experiment.settings, all_versions(settings), machine_facts()),
        origin=weights and weights.origin,
        data=experiment.data,
    )
    begin = functools.partial(
        *(Trainer.begin, path, description, experiment),
        initial=weights,
        overwrite=overwrite,
        started=started,
    )
    if dataset is None:
        return begin(make_source=make_source)
    data = read_data(dataset, experiment)
    if settings.is_offline:
        make_source = data.make_source
    training = begin(make_source=make_source, make_state=data.make_state)
    training.notes.append(data.note)
    if is_absent(env_id) and settings.sequences is not None:
        training.notes.append(
            "nothing will tell what the policy is worth: a network with memory is not estimated "
            "from data, and there is no environment to play it in"
        )
    training.dataset = dataset
    training.notes += _whole_rounds(settings)
    return training


def _whole_rounds(settings: Settings) -> list[str]:
    """A line on updates beyond the budget of a run without acting; none if there are none."""
    end = settings.last_tick
    if not settings.is_offline or end == settings.budget:
        return []
    return [
        f"it ends after {end:,} updates: updates_per_round, {settings.round_ticks:,}, is one call, "
        "and the budget is no multiple of it"
    ]


@own_numerics()
def prepare_resume(
    folder: RunFolder,
    settings: Settings,
    *,
    started: float | None = None,
    make_source: MakeSource | None = None,
    names_dataset: bool = False,
) -> Trainer:
    """Prepare to continue a run with the given settings.

    Args:
        folder: the run's folder.
        settings: the run's settings, with those that change.
        started: as for `Trainer`.
        make_source: likewise.
        names_dataset: whether this command names the data set among the settings. It must then hold
            the run's data, whatever its name.

    Raises:
        FrankError: a setting cannot change within a run, or the run is damaged.
    """
    evaluated = folder.description.settings.evaluation.evaluation_wrappers
    # Others for evaluations were given in this very command.
    is_kept = settings.evaluation.evaluation_wrappers == evaluated
    check_code(folder, (*LEARNING, *(("evaluation_wrappers",) if is_kept else ())))
    check_permitted(folder, settings.saving.log)
    check_trackers(settings.saving.log)
    for file in (folder.path / LOCK, *metrics_files(folder.metrics)):
        refuse_shared(file)
    before = folder.description.settings
    # A run goes on as it began.
    settings = settings.decided_as(before)
    named, dataset = settings.data.dataset, None
    if names_dataset or named != before.data.dataset:
        dataset = same_data(folder.description, named)
        settings = settings.with_changes(dataset=before.data.dataset)
    if settings.data != before.data:
        share = shown(settings.data.demonstration_share)
        raise SettingError(
            f"a run that continues keeps its settings, here demonstration_share "
            f"{shown(before.data.demonstration_share)} (given {share}): begin a new run for others"
        )
    kept_budget = replace(
        settings,
        environment=replace(
            settings.environment,
            worker_processes=before.environment.worker_processes,
            restart_failed_envs=before.environment.restart_failed_envs,
            info_metrics=before.environment.info_metrics,
        ),
        training=replace(
            settings.training,
            total_env_steps=before.training.total_env_steps,
            total_updates=before.training.total_updates,
            device=before.training.device,
        ),
        evaluation=before.evaluation,
        saving=before.saving,
    )
    if kept_budget != before:
        changed = ", ".join(_changes(before, kept_budget))
        raise SettingError(
            f"a run that continues keeps its settings, here {changed}: only {before.budget_name}, "
            "worker_processes, restart_failed_envs, info_metrics, device and those of [evaluation] "
            "and [saving] may change; begin a new run for others"
        )
    description = folder.description
    in_actors = make_source is not None
    experiment = checked_experiment(
        *(description.env_id, settings, description.seed),
        in_actors=in_actors,
        data=description.data,
        spec=newest_spec(folder) if is_absent(description.env_id) else None,
    )
    check_memory(experiment)
    there = len(list_checkpoints(folder.checkpoints))
    check_disk(folder.path, experiment, already=there)
    check_threshold(settings, experiment.spec)
    try:
        training = Trainer.resume(folder, experiment, started=started, make_source=make_source)
    except WRITE_ERRORS as error:
        raise RunFolderError(
            f"the run folder {folder.path} cannot be written: {error}; its last checkpoint stays"
        ) from error
    training.dataset = dataset
    training.notes += _whole_rounds(settings)
    return training


def _changes(before: Settings, after: Settings) -> list[str]:
    """What was given otherwise than before, in words; not what only follows from it."""
    ours, theirs = after.values(), before.values()
    changed = [name for name in theirs if ours[name] != theirs[name]]
    for name in changed:
        with contextlib.suppress(SettingError):
            if before.with_changes(**{name: ours[name]}) == after:
                changed = [name]
                break
    return [f"{name} {shown(theirs[name])} (given {shown(ours[name])})" for name in changed]


def checked_experiment(
    env_id: str,
    settings: Settings,
    seed: int,
    *,
    in_actors: bool = False,
    num_seeds: int = 1,
    data: DataOrigin | None = None,
    spec: EnvironmentSpec | None = None,
) -> Experiment:
    """The experiment; also starts JAX, on the CPU if updates are faster there.

    Args:
        env_id: name of the environment.
        settings: the run's resolved settings.
        seed: the run's seed.
        in_actors: whether actors elsewhere step the environments.
        num_seeds: number of runs that are one program.
        data: the data set that the run learns from; None: from what it collects alone.
        spec: the environment as it is known without one; None: it is made to see.

    Raises:
        FrankError: the environment cannot be made, or the requested device is not available.
    """
    with prepared():
        if settings.training.device == "cpu":
            # Before code of the user's own can start JAX elsewhere.
            start_backend(on_cpu=True)
        spec = describe_for(env_id, settings) if spec is None else spec
        settings = with_source(settings, spec, in_actors=in_actors)
        check_agent(settings, spec)
        settings = with_symmetry(settings, spec)
        experiment = Experiment.of(settings, spec, seed, data)
        start_backend(on_cpu=belongs_on_cpu(experiment, num_seeds))
    check_device(settings)
    return experiment


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
        environment_restarts=[each._asdict() for each in finished.environment_restarts],
        stopped=finished.stopped,
        stop_reason=shown_text(stop.reason) if stop and finished.stopped else None,
        clock=training.settings.clock,
    )
    unsaved = training.unsaved
    try:
        training.folder.write_report(result.report())
    except OSError as error:
        unsaved = unsaved or f"report: {error}"
    if unsaved:
        raise RunFolderError(_unsaved(training.folder, result, unsaved))
    return result


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


def file_name_of(name: str) -> str:
    """The name of a folder for an environment or a preset."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)[:_MAX_NAME]


def _default_folder(env_id: str, preset: str, seed: int) -> Path:
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    preset = (Path(preset).stem if preset.endswith(".toml") else preset)[:_MAX_NAME]
    path = Path("runs") / file_name_of(env_id) / f"{preset}-s{seed}-{moment}"
    while path.exists():
        time.sleep(0.1)
        path = path.with_name(f"{preset}-s{seed}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}")
    return path
