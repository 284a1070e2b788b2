"""Runs an experiment: every arm on every environment with every seed."""

import concurrent.futures
import concurrent.futures.process
import contextlib
import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frankrl.config import Settings
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.stopping import stop_signals
from frankrl.experiments.claims import Arm, Experiment, settings_of
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
        KeyboardInterrupt: a stop was requested; everything done so far is saved.
    """
    missing = []
    for job in study.jobs():
        if is_done(job.path):
            on_done(job)
        else:
            missing.append(job)
    if not missing:
        return
    others = multiprocessing.active_children()
    # A process with JAX must not be forked.
    processes = min(processes, len(missing))
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _stand_alone
    )
    under_way: dict[concurrent.futures.Future[bool], Job] = {}
    with stop_signals() as stop_requested, pool:
        try:
            while (missing or under_way) and not stop_requested():
                # Submit only what can run now: a job waiting in the pool could not be withdrawn.
                while missing and len(under_way) < processes:
                    job = missing.pop(0)
                    under_way[pool.submit(run_job, job)] = job
                done, _ = concurrent.futures.wait(
                    under_way, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED
                )
                for outcome in done:
                    outcome.result()
                    on_done(under_way.pop(outcome))
            if under_way or missing:
                raise KeyboardInterrupt("the runs are saved; the same command continues")
        except concurrent.futures.process.BrokenProcessPool as error:
            raise FrankError(
                "the process of a run has died, perhaps for lack of memory: lower --processes; "
                "the same command continues from what is done"
            ) from error
        finally:
            if under_way:
                _end(pool, others)


def _end(pool: concurrent.futures.ProcessPoolExecutor, others: Sequence[object]) -> None:
    """Ask the active runs to save and stop, and start no other."""
    for process in multiprocessing.active_children():
        if process not in others:
            process.terminate()
    pool.shutdown(wait=True)


def _stand_alone() -> None:
    """Set up a worker process: signals come only from the parent, and it ends with the parent."""
    os.setsid()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_job(job: Job) -> bool:
    """Train one arm with one seed; false if it was stopped and can be continued."""
    with stop_signals() as stop_requested:
        folder = None
        with contextlib.suppress(RunFolderError):
            folder = RunFolder.open(job.path)
        if folder is not None and list_checkpoints(folder.checkpoints):
            training = prepare_resume(folder, job.settings)
        else:
            training = prepare(
                job.env_id, job.arm, job.settings, job.seed, job.path, overwrite=True
            )
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
