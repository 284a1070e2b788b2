"""The runs of several seeds as one program: each has a lane, and a run folder of its own."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frankrl.core.errors import (
    DivergedError,
    EnvironmentFailedError,
    FrankError,
    RunFolderError,
    warn,
)
from frankrl.core.figures import counted
from frankrl.core.numerics import own_numerics
from frankrl.core.stopping import StopSignals
from frankrl.display.training import saving_failed_line
from frankrl.experience.device import DeviceSource
from frankrl.runs import (
    RunDescription,
    RunFolder,
    all_versions,
    list_checkpoints,
    machine_facts,
)
from frankrl.runs.group import RunGroup
from frankrl.runs.layout import CHECKPOINTS
from frankrl.seeds.standing import Standing, newest_intact, where_runs_stand
from frankrl.training import Event, Experiment, Finished, SavingFailed, Stop, Trainer
from frankrl.training.device.batch import SeedBatch
from frankrl.training.initial_state import compiled_init
from frankrl.training.memory import check_lanes
from frankrl.training.preflight import check_disk
from frankrl.training.rounds import Round
from frankrl.training.session import write_report
from frankrl.training.state import TrainState

_MAX_NAMED = 5
OnRun = Callable[[Path], None]
Failures = dict[int, FrankError]
"""The errors of the runs that could not go on, by seed."""


def train_lanes(
    group: RunGroup,
    experiment: Experiment,
    stop_requested: StopSignals,
    on_run: OnRun,
    show: Callable[[int, int], None],
) -> bool:
    """Do the runs of a group that are not over, as many in one program as the group says.

    A run that fails is left where it is, and the others go on.

    Args:
        group: the group, which this process drives.
        experiment: that of any of its seeds.
        stop_requested: the stop signals; after one, every run is saved.
        on_run: called with the folder of each run that is over, also those that were before.
        show: called with the env steps that are done, and those of all runs.

    Returns:
        Whether every run is over.

    Raises:
        FrankError: a run cannot be begun; or some have failed or diverged.
    """
    stand = where_runs_stand(group)
    seeds, size = group.seeds, group.lanes
    check_room(group, experiment, stand)
    failures: Failures = {}
    total = experiment.settings.training.total_env_steps
    for first in range(0, len(seeds), size):
        if stop_requested():
            break
        program = seeds[first : first + size]

        def so_far(env_steps: int, before: int = first * total, many: int = len(program)) -> None:
            show(before + env_steps * many, len(seeds) * total)

        going = {seed: stand[seed] for seed in program if seed in stand}
        of_program = _Program(group, program, experiment)
        failures |= of_program.run(going, stop_requested, on_run, so_far)
    if failures:
        raise _error_of(group, failures)
    return not stop_requested()


def check_room(group: RunGroup, experiment: Experiment, stand: Mapping[int, Standing]) -> None:
    """Refuse what does not fit into memory or on the disk of the runs that go on.

    Raises:
        MachineError: something does not.
    """
    programs = {group.program_of(seed) for seed in stand}
    check_lanes(experiment, max(map(len, programs), default=0))
    there = [len(list_checkpoints(group.path_of(seed) / CHECKPOINTS)) for seed in stand]
    if there:
        check_disk(group.path, experiment, already=there)


def _error_of(group: RunGroup, failures: Failures) -> FrankError:
    """The errors of several runs as one."""
    which = ", ".join(f"s{seed}" for seed in list(failures)[:_MAX_NAMED])
    which += ", …" * (len(failures) > _MAX_NAMED)
    all_diverged = all(isinstance(error, DivergedError) for error in failures.values())
    kind = DivergedError if all_diverged else FrankError
    return kind(
        f"{counted(len(failures), 'run')} of {group.path} "
        f"{'diverged' if all_diverged else 'failed'} ({which}), the others are saved; the first "
        f"one: {next(iter(failures.values()))}"
    )


class _Program:
    """The runs that are one program."""

    def __init__(self, group: RunGroup, seeds: Sequence[int], experiment: Experiment) -> None:
        self._group, self._seeds, self._experiment = group, seeds, experiment
        self._paths = {seed: group.path_of(seed) for seed in seeds}
        self._make_state = compiled_init(experiment)
        self._failures: Failures = {}
        self._over: set[int] = set()

    def run(
        self,
        going: Mapping[int, Standing],
        stop_requested: StopSignals,
        on_run: OnRun,
        so_far: Callable[[int], None],
    ) -> Failures:
        """Bring all runs to their ends; returns the errors of those that failed.

        Runs that are behind the others come first, in all lanes as well, up to where the next ones
        stand. So no run goes back, and each has the bits of its lane.

        Args:
            going: the seeds whose runs are not over, and where each stands.
            stop_requested: as for `train_lanes`.
            on_run: likewise.
            so_far: called with the env steps that the runs have done which are at work.
        """
        for seed, path in self._paths.items():
            if seed not in going:
                on_run(path)
        stand = dict(going)
        while stand and not stop_requested():
            # Runs that went on without their buffers may have done fewer updates than others.
            at = min(stand.values())
            last = [seed for seed, own in stand.items() if own == at]
            until = self._end_of(stand, at.env_steps)
            self._advance(last, at, until, stop_requested, so_far)
            for seed in last:
                del stand[seed]
                if seed in self._over:
                    on_run(self._paths[seed])
                elif seed not in self._failures:
                    stand[seed] = newest_intact(self._paths[seed])
        return self._failures

    def _end_of(self, stand: Mapping[int, Standing], at: int) -> int | None:
        """The env step up to which the runs at one go on without the others; None: their ends."""
        ahead = [own.env_steps for own in stand.values() if own.env_steps > at]
        total = self._experiment.settings.training.total_env_steps
        return min(ahead) if ahead and min(ahead) < total else None

    def _advance(
        self,
        seeds: Sequence[int],
        at: Standing,
        until: int | None,
        stop_requested: StopSignals,
        so_far: Callable[[int], None],
    ) -> None:
        """Let runs that stand at the same place go on together, until an env step or their ends."""
        lanes = _Lanes(self._seeds, until)
        with contextlib.ExitStack() as stack:
            trainers: dict[int, Trainer] = {}
            for seed in seeds:
                try:
                    with own_numerics():
                        trainers[seed] = self._trainer(seed, at.env_steps, lanes)
                except EnvironmentFailedError as error:
                    # Its first observation, for instance; the others need not wait for it.
                    self._failures[seed] = error
                else:
                    stack.callback(trainers[seed].close)
            paced = {
                seed: trainer.paced_events(lambda: lanes.stops)
                for seed, trainer in trainers.items()
            }
            while paced:
                # Asked once for all, so that all end at the same env step.
                lanes.stops = stop_requested() or lanes.at_end
                for seed in list(paced):
                    if not self._goes_on(seed, trainers[seed], paced[seed], lanes):
                        del paced[seed]
                        lanes.leave(seed)
                        trainers[seed].close()
                if paced:
                    with own_numerics():
                        lanes.batch.advance()
                    so_far(lanes.batch.env_steps)

    def _trainer(self, seed: int, at: int, lanes: "_Lanes") -> Trainer:
        """A run that begins, or goes on from its newest intact checkpoint.

        Raises:
            RunFolderError: it does not stand at the env step.
        """
        path, make_rounds = self._paths[seed], lanes.rounds_of(seed)
        experiment = replace(self._experiment, seed=seed)
        if at:
            trainer = Trainer.resume(RunFolder.open(path), experiment, make_rounds=make_rounds)
            if trainer.ticks != at:
                trainer.close()
                raise RunFolderError(
                    f"{path} has a checkpoint of env step {at:,} that holds another one, "
                    f"{trainer.ticks:,}; go on again, which begins with that"
                )
            return trainer
        about = self._group.description
        description = RunDescription(
            about.env_id,
            about.preset,
            seed,
            experiment.settings,
            all_versions(experiment.settings),
            machine_facts(),
            batched_with=tuple(self._seeds),
        )
        return Trainer.begin(
            path,
            description,
            experiment,
            # A run that has no checkpoint yet.
            overwrite=path.exists(),
            make_rounds=make_rounds,
            make_state=self._make_state,
        )

    def _goes_on(
        self, seed: int, trainer: Trainer, events: Iterator[Event | None], lanes: "_Lanes"
    ) -> bool:
        """Whether a run has another round before it, after the events until there."""
        finished = None
        try:
            for event in events:
                if event is None:
                    return True
                if isinstance(event, Finished):
                    finished = event
                if isinstance(event, SavingFailed):
                    clock = trainer.settings.clock
                    warn(f"the run of seed {seed}: {saving_failed_line(event, clock)}")
            assert finished is not None, "the last event of a run"
            write_report(trainer, finished, None)
            if not finished.stopped:
                self._over.add(seed)
        except DivergedError as error:
            self._failures[seed] = error
            # It would diverge again, so it is over.
            with contextlib.suppress(RunFolderError):
                write_report(trainer, trainer.ended(None, stopped=True), Stop(str(error)))
                self._over.add(seed)
        except FrankError as error:
            self._failures[seed] = error
            # Of a run that failed within its newest round, the lane holds no state before it.
            if trainer.ticks == lanes.batch.env_steps:
                trainer.save()
        return False


class _Lanes:
    """The lanes of runs that go on together."""

    def __init__(self, program: Sequence[int], until: int | None) -> None:
        """No run has joined yet.

        Args:
            program: the seeds that have a lane, in their order.
            until: the env step at which the runs end; None: each at its own.
        """
        self.batch = SeedBatch(len(program))
        self.stops = False
        """Whether the runs are to end before their next rounds."""
        self._index = {seed: index for index, seed in enumerate(program)}
        self._until = until
        self._joined: set[int] = set()

    @property
    def at_end(self) -> bool:
        """Whether the runs stand where they are to end."""
        return self._until is not None and self.batch.env_steps >= self._until

    def rounds_of(self, seed: int) -> Callable[..., Iterator[Round]]:
        """How the run of a seed gets its rounds, none of which goes beyond the end."""
        join = self.batch.rounds_of(self._index[seed])

        def rounds(
            experiment: Experiment,
            source: DeviceSource,
            state: TrainState,
            next_stop: Callable[[int], int],
        ) -> Iterator[Round]:
            taken = join(experiment, source, state, lambda at: self._stop_before(next_stop(at)))
            self._joined.add(seed)
            return taken

        return rounds

    def _stop_before(self, env_steps: int) -> int:
        return env_steps if self._until is None else min(env_steps, self._until)

    def leave(self, seed: int) -> None:
        """Let a run go; it may have failed before it joined."""
        if seed in self._joined:
            self.batch.leave(self._index[seed])
