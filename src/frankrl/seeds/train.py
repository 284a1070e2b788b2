"""Trains the runs of a group: those of a new one, and all that are not over."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from frankrl.cluster import check_engine, check_processes, engine_for
from frankrl.config import Settings
from frankrl.core.errors import FrankError, SettingError
from frankrl.core.numerics import own_numerics
from frankrl.core.paths import given_path
from frankrl.core.seeds import seeds_in_file_name
from frankrl.core.stopping import StoppedAtOnceError, StoppedError, stop_signals
from frankrl.core.wording import option, resuming
from frankrl.display.progress_bar import progress_bar
from frankrl.environments import describe_for
from frankrl.jobs import Engine, Job, do_missing
from frankrl.jobs.driving import driven
from frankrl.runs import RunDescription
from frankrl.runs.group import RunGroup, refuse_existing_group
from frankrl.runs.layout import DRIVER, GROUP
from frankrl.seeds.lanes import train_lanes
from frankrl.seeds.open_files import allow_open_files
from frankrl.seeds.result import SeedsResult
from frankrl.training import Experiment
from frankrl.training.memory import check_memory, lanes_in_memory
from frankrl.training.preflight import check_threshold
from frankrl.training.preparing import checked_experiment, file_name_of
from frankrl.training.where import with_source


@dataclass(frozen=True)
class HowToTrain:
    """How the runs of a group are done. It changes no result of processes; the lanes of a program
    differ from them in rounding."""

    processes: int = 0
    """Number of processes in parallel; 0: one per processor core, or lanes of one program."""
    ray: str = ""
    """Address of a Ray cluster for the runs, `HOST:PORT` or `auto`; empty: this machine."""
    publish: str | os.PathLike[str] = ""
    """Shared storage for the runs on a cluster while they go on; empty: in the group's folder,
    which its machines must share."""
    progress: bool = True
    on_run: Callable[[Path, int, int], None] = lambda run, done, of: None
    """Called for each finished run with its folder, the number of runs that are finished, and that
    of all."""
    on_env_steps: Callable[[int, int], None] = lambda done, of: None
    """Called with the env steps that lanes have done, and with those of all runs."""
    print_command: Callable[[str], None] | None = None
    """Called with the command line of each run instead of doing it here."""

    @property
    def wants_processes(self) -> bool:
        """Whether each run is to be a process of its own, whatever its environment is."""
        return bool(self.processes or self.ray or self.print_command)

    def check(self) -> None:
        """Refuse what is not allowed.

        Raises:
            SettingError: something is not.
        """
        check_processes(self.processes)
        check_engine(self.ray, self.publish, printed=self.print_command is not None)


def train_seeds(
    env_id: str,
    preset: str,
    settings: Settings,
    seeds: tuple[int, ...],
    out: str | os.PathLike[str] | None,
    how: HowToTrain,
) -> SeedsResult | None:
    """Train with several seeds.

    Args:
        env_id: name of the environment.
        preset: name of the preset.
        settings: the settings of all runs.
        seeds: their seeds.
        out: the folder of the group; None: `runs/<env>/<preset>-s<seeds>-<time>`.
        how: how the runs are done.

    Returns:
        The outcomes; None if only commands were printed.

    Raises:
        FrankError: something is not allowed, or a run fails.
        StoppedError: a stop was requested; every run is saved.
    """
    how.check()
    folder = _default_folder(env_id, preset, seeds)
    folder = (folder if out is None else given_path(out, option("out"))).absolute()
    refuse_existing_group(folder)
    settings = settings.resolved()
    experiment = None if how.wants_processes else on_device(env_id, settings, seeds)
    lanes = 0
    if experiment is not None:
        settings, lanes = experiment.settings, min(len(seeds), lanes_in_memory(experiment))
        allow_open_files(lanes)
    description = RunDescription(env_id, preset, seeds[0], settings)
    group = RunGroup.create(folder, description, seeds, lanes)
    with _leaving_no_folder_without_runs(group):
        return trained(group, how, experiment)


@own_numerics()
def on_device(env_id: str, settings: Settings, seeds: tuple[int, ...]) -> Experiment | None:
    """The experiment of the first seed; None if its environments are stepped on the host.

    Raises:
        FrankError: the environment cannot be made, or a setting is not allowed.
    """
    spec = describe_for(env_id, settings)
    if with_source(settings, spec, in_actors=False).environment.source != "device":
        return None
    if settings.saving.log:
        raise SettingError(
            "the runs of several seeds in one program have no trackers: leave log out, or give "
            f"{option('processes')} for processes of their own"
        )
    experiment = checked_experiment(env_id, settings, seeds[0], num_seeds=len(seeds))
    check_threshold(settings, experiment.spec)
    check_memory(experiment)
    return experiment


def trained(group: RunGroup, how: HowToTrain, experiment: Experiment | None) -> SeedsResult | None:
    """Bring the runs of a group to their ends.

    Args:
        group: the group.
        how: how its runs are done.
        experiment: that of any of its seeds, for runs that are lanes; None: they are processes.

    Returns:
        As `train_seeds`; errors likewise.
    """
    if experiment is None:
        return _in_processes(group, how)
    done = 0

    def finished(run: Path) -> None:
        nonlocal done
        done += 1
        how.on_run(run, done, len(group.seeds))

    def so_far(env_steps: int, of: int) -> None:
        show(env_steps, of)
        how.on_env_steps(env_steps, of)

    with (
        progress_bar("training", "env steps", progress=how.progress) as show,
        _saying_how_to_go_on(group),
        driven(group.path),
        stop_signals() as stop_requested,
    ):
        if not train_lanes(group, experiment, stop_requested, finished, so_far):
            raise StoppedError("", stop_requested.exit_status)
    return SeedsResult.of_group(group)


def _in_processes(group: RunGroup, how: HowToTrain) -> SeedsResult | None:
    about, folder = group.description, group.path
    jobs = [
        Job(about.env_id, about.preset, about.settings, seed, group.path_of(seed))
        for seed in group.seeds
    ]
    done = 0
    with (
        progress_bar("training", "runs", progress=how.progress) as show,
        _saying_how_to_go_on(group),
    ):

        def finished(job: Job) -> None:
            nonlocal done
            done += 1
            show(done, len(jobs))
            how.on_run(job.run, done, len(jobs))

        def engine() -> Engine:
            return engine_for(
                how.processes,
                folder,
                ray=how.ray,
                publish=how.publish,
                print_command=how.print_command,
            )

        is_complete = do_missing(jobs, folder, engine, finished)
    return SeedsResult.of_group(group) if is_complete else None


@contextlib.contextmanager
def _saying_how_to_go_on(group: RunGroup) -> Iterator[None]:
    """Within the block, a stop says what continues."""
    try:
        yield
    except StoppedAtOnceError:
        raise
    except StoppedError as stop:
        words = f"stopped; every run is saved, and {resuming(group.path)} continues"
        raise StoppedError(words, stop.exit_status) from None


@contextlib.contextmanager
def _leaving_no_folder_without_runs(group: RunGroup) -> Iterator[None]:
    """Within the block, an error removes the group's new folder if no run has begun, so that its
    place is free."""
    try:
        yield
    except StoppedError:
        raise
    except FrankError:
        with contextlib.suppress(OSError, FrankError):
            if not group.begun():
                shutil.rmtree(group.path / DRIVER, ignore_errors=True)
                (group.path / GROUP).unlink()
                group.path.rmdir()
        raise


def _default_folder(env_id: str, preset: str, seeds: tuple[int, ...]) -> Path:
    moment = datetime.now().strftime("%Y%m%d-%H%M%S")
    which = seeds_in_file_name(seeds)
    name = f"{file_name_of(Path(preset).stem)}-s{which}-{moment}"
    return Path("runs") / file_name_of(env_id) / name
