"""The runs of several seeds as one program: each has a lane, and a run folder of its own."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from frankrl.core.errors import DivergedError, FrankError
from frankrl.core.figures import counted
from frankrl.core.numerics import own_numerics
from frankrl.core.stopping import StopSignals
from frankrl.jobs import is_done
from frankrl.runs import (
    RunDescription,
    RunFolder,
    all_versions,
    list_checkpoints,
    machine_facts,
    remove_checkpoint,
)
from frankrl.runs.group import RunGroup
from frankrl.training import Event, Experiment, Finished, Trainer
from frankrl.training.device.batch import SeedBatch
from frankrl.training.session import write_report
from frankrl.training.state import compiled_init
from frankrl.training.trainer import MakeRounds

_MAX_NAMED = 5
OnRun = Callable[[Path], None]


def train_lanes(
    group: RunGroup,
    experiment: Experiment,
    stop_requested: StopSignals,
    on_run: OnRun,
    show: Callable[[int, int], None],
) -> bool:
    """Do the runs of a group that are not over, as many in one program as the group says.

    Args:
        group: the group, which this process drives.
        experiment: that of any of its seeds.
        stop_requested: the stop signals; after one, every run is saved.
        on_run: called with the folder of each run that is over, also those that were before.
        show: called with the env steps that are done, and those of all runs.

    Returns:
        Whether every run is over.

    Raises:
        FrankError: a run cannot be begun, or cannot go on; or some have diverged.
    """
    seeds, size = group.seeds, group.lanes
    diverged: dict[int, DivergedError] = {}
    total = experiment.settings.training.total_env_steps
    for first in range(0, len(seeds), size):
        if stop_requested():
            return False
        program = seeds[first : first + size]

        def so_far(env_steps: int, before: int = first * total, many: int = len(program)) -> None:
            show(before + env_steps * many, len(seeds) * total)

        diverged |= _Program(group, program, experiment).run(stop_requested, on_run, so_far)
    if diverged:
        which = ", ".join(f"s{seed}" for seed in list(diverged)[:_MAX_NAMED])
        raise DivergedError(
            f"{counted(len(diverged), 'run')} of {group.path} diverged ({which}), the others are "
            f"saved; the first one: {next(iter(diverged.values()))}"
        )
    return not stop_requested()


class _Program:
    """The runs that are one program."""

    def __init__(self, group: RunGroup, seeds: Sequence[int], experiment: Experiment) -> None:
        self._group, self._seeds, self._experiment = group, seeds, experiment
        self._batch = SeedBatch(len(seeds))
        self._stops = False
        self._diverged: dict[int, DivergedError] = {}

    def run(
        self, stop_requested: StopSignals, on_run: OnRun, so_far: Callable[[int], None]
    ) -> dict[int, DivergedError]:
        """Bring all runs to their ends; returns the seeds whose runs have diverged."""
        paths = {seed: self._group.path_of(seed) for seed in self._seeds}
        going = {seed: path for seed, path in paths.items() if not is_done(path)}
        for seed, path in paths.items():
            if seed not in going:
                on_run(path)
        with contextlib.ExitStack() as stack:
            trainers = self._begun(going, stack)
            paced = {
                seed: trainer.paced_events(lambda: self._stops)
                for seed, trainer in trainers.items()
            }
            while paced:
                # Asked once for all, so that all end at the same env step.
                self._stops = stop_requested()
                for seed in list(paced):
                    if self._goes_on(seed, trainers[seed], paced[seed]):
                        continue
                    del paced[seed]
                    self._batch.leave(self._seeds.index(seed))
                    trainers[seed].close()
                    if is_done(paths[seed]):
                        on_run(paths[seed])
                if paced:
                    with own_numerics():
                        self._batch.advance()
                    so_far(self._batch.env_steps)
        return self._diverged

    def _begun(self, going: Mapping[int, Path], stack: contextlib.ExitStack) -> dict[int, Trainer]:
        """The trainers of the runs that are not over, all at the same env step."""
        at = common_env_steps(list(going.values()))
        trainers: dict[int, Trainer] = {}
        facts = (all_versions(self._experiment.settings), machine_facts())
        about = self._group.description
        make_state = compiled_init(self._experiment)
        for seed, path in going.items():
            experiment = replace(self._experiment, seed=seed)
            rounds = self._batch.rounds_of(self._seeds.index(seed))
            if at is None:
                description = RunDescription(
                    *(about.env_id, about.preset, seed, experiment.settings, *facts),
                    batched_with=tuple(self._seeds),
                )
                trainer = Trainer.begin(
                    path,
                    description,
                    experiment,
                    overwrite=path.exists(),
                    make_rounds=rounds,
                    make_state=make_state,
                )
            else:
                trainer = _resumed(path, experiment, at, rounds)
            trainers[seed] = trainer
            stack.callback(trainer.close)
        return trainers

    def _goes_on(self, seed: int, trainer: Trainer, events: Iterator[Event | None]) -> bool:
        """Whether a run has another round before it, after the events until there."""
        finished = None
        try:
            for event in events:
                if event is None:
                    return True
                if isinstance(event, Finished):
                    finished = event
        except DivergedError as error:
            self._diverged[seed] = error
            return False
        assert finished is not None, "the last event of a run"
        write_report(trainer, finished, None)
        return False


def _resumed(path: Path, experiment: Experiment, at: int, rounds: MakeRounds) -> Trainer:
    """A run that goes on from its checkpoint of an env step."""
    folder = RunFolder.open(path)
    for checkpoint in list_checkpoints(folder.checkpoints):
        if int(checkpoint.name) > at:
            remove_checkpoint(checkpoint)
    return Trainer.resume(folder, experiment, make_rounds=rounds)


def common_env_steps(runs: Sequence[Path]) -> int | None:
    """The newest env step of which every run has a checkpoint; None: there is none.

    A process that was killed while it wrote the checkpoints of all runs has written some of them.
    """
    steps: set[int] | None = None
    for run in runs:
        there: set[int] = set()
        with contextlib.suppress(FrankError):
            there = {int(one.name) for one in list_checkpoints(RunFolder.open(run).checkpoints)}
        steps = there if steps is None else steps & there
    return max(steps) if steps else None
