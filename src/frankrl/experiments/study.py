"""Runs an experiment: every arm on every environment with every seed."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.core.stopping import StoppedAtOnceError, StoppedError, stop_signals
from frankrl.experiments.claims import Arm, Experiment, settings_of
from frankrl.experiments.run_process import RunProcess
from frankrl.runs import RunFolder, list_checkpoints, read_regular
from frankrl.training.session import prepare, prepare_resume, run_to_end

_MAX_REPORT_BYTES = 1 << 24
_POLL_SECONDS = 0.3
"""Time between two checks whether a stop was requested."""


@dataclass(frozen=True)
class Study:
    """An experiment with its environments and seeds."""

    experiment: Experiment
    env_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    """Folder of the runs. Experiments with the same folder share identical runs."""

    def jobs(self) -> list["Job"]:
        """Every run of the study, seed by seed, so that a stopped study has complete seeds."""
        return [
            Job(
                env_id,
                arm.name,
                settings_of(self.experiment, arm, env_id),
                seed,
                self.path_of(env_id, arm, seed),
            )
            for seed in self.seeds
            for env_id in self.env_ids
            for arm in self.experiment.arms
        ]

    def path_of(self, env_id: str, arm: Arm, seed: int) -> Path:
        """The run folder of one arm; it depends on the settings, not on the arm's name."""
        text = json.dumps(settings_of(self.experiment, arm, env_id).to_tables(), sort_keys=True)
        name = hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
        return self.folder / env_id / f"{name}-s{seed}"


class Job(NamedTuple):
    """One run of a study."""

    env_id: str
    arm: str
    settings: Settings
    seed: int
    path: Path


def run_study(study: Study, processes: int, on_done: Callable[[Job], None]) -> None:
    """Do every run that is not done yet; stopped runs are continued.

    Args:
        study: the runs to do.
        processes: number of runs in parallel; it changes no result.
        on_done: called for each finished run, including runs finished earlier.

    Raises:
        FrankError: a run cannot be started or continued.
        StoppedError: a stop was requested; everything done so far is saved.
    """
    missing = []
    for job in study.jobs():
        if is_done(job.path):
            on_done(job)
        else:
            missing.append(job)
    if not missing:
        return
    count = min(processes, len(missing))
    with stop_signals() as stop_requested:
        workers: list[RunProcess] = []
        try:
            workers += (RunProcess(run_job) for _ in range(count))
            while _is_busy(workers, missing) and not stop_requested():
                for worker in workers:
                    if missing and worker.job is None:
                        worker.begin(missing.pop(0))
                for worker in RunProcess.answered(workers, _POLL_SECONDS):
                    on_done(worker.finish())
            if _is_busy(workers, missing):
                raise StoppedError(
                    "stopped; every run is saved, and the same command continues",
                    stop_requested.exit_status,
                )
        except StoppedAtOnceError:
            for worker in workers:
                worker.kill()
            raise
        finally:
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.join()


def _is_busy(workers: Sequence[RunProcess], missing: Sequence[Job]) -> bool:
    """Whether a run is under way or still to do."""
    return bool(missing) or any(worker.job is not None for worker in workers)


def run_job(job: Job, stop_requested: Callable[[], bool]) -> bool:
    """Train one arm with one seed; false if it was stopped and can be continued."""
    folder = None
    with contextlib.suppress(RunFolderError):
        folder = RunFolder.open(job.path)
    if folder is not None and list_checkpoints(folder.checkpoints):
        training = prepare_resume(folder, job.settings)
    else:
        training = prepare(job.env_id, job.arm, job.settings, job.seed, job.path, overwrite=True)
    return not run_to_end(training, lambda event: None, stop_requested).stopped


def is_done(path: Path) -> bool:
    """Whether a run is finished."""
    return final_return(path) is not None


def final_return(path: Path) -> float | None:
    """Mean return of a run's final policy; None if the run is not finished."""
    with contextlib.suppress(RunFolderError, ValueError, KeyError, TypeError):
        report = json.loads(read_regular(path / "report.json", _MAX_REPORT_BYTES))
        return float(report["evaluation"]["mean_return"])
    return None


def paths_of(study: Study, env_id: str, arm: Arm) -> Sequence[Path]:
    """The run folders of one arm on one environment, in the order of the seeds."""
    return [study.path_of(env_id, arm, seed) for seed in study.seeds]
