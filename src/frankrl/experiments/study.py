"""Running an experiment: every arm on every environment with every seed, each once."""

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
"""Between two looks at whether a stop is asked for."""


@dataclass(frozen=True)
class Study:
    """An experiment on some environments with some seeds."""

    experiment: Experiment
    env_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    """Where the runs lie. Experiments with one folder share the runs that they have in common."""

    def jobs(self) -> list["Job"]:
        """Every run of the study, seed by seed, so that a study cut short has whole seeds."""
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
        """The run folder of one arm; it follows from the settings, not from the arm's name."""
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
    """Do every run that is not done yet; one that was stopped is continued.

    Args:
        study: which runs.
        processes: how many runs side by side; it changes none of them.
        on_done: called after each run, also with those that were done already.

    Raises:
        FrankError: a run cannot be made, or cannot go on.
        KeyboardInterrupt: asked to stop; what is done is kept.
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
    # A process that JAX runs in must not be forked.
    processes = min(processes, len(missing))
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _stand_alone
    )
    under_way: dict[concurrent.futures.Future[bool], Job] = {}
    with stop_signals() as stop_requested, pool:
        try:
            while (missing or under_way) and not stop_requested():
                # Not more than are at work: one that waits in the pool could not be taken back.
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
                raise KeyboardInterrupt("the runs are saved; the same command goes on")
        except concurrent.futures.process.BrokenProcessPool as error:
            raise FrankError(
                "the process of a run has died, for want of memory perhaps: lower --processes; "
                "the same command goes on from what is done"
            ) from error
        finally:
            if under_way:
                _end(pool, others)


def _end(pool: concurrent.futures.ProcessPoolExecutor, others: Sequence[object]) -> None:
    """Let the runs under way save themselves, and begin no other."""
    for process in multiprocessing.active_children():
        if process not in others:
            process.terminate()
    pool.shutdown(wait=True)


def _stand_alone() -> None:
    """Of a run's process: a signal comes from the parent only, and it does not outlive it."""
    os.setsid()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_job(job: Job) -> bool:
    """Train one arm with one seed; false if it was asked to stop, and can be continued."""
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
    """Whether a run has come to its end."""
    return final_return(path) is not None


def final_return(path: Path) -> float | None:
    """Mean return of a run's final policy; none if the run has not come to its end."""
    with contextlib.suppress(RunFolderError, ValueError, KeyError, TypeError):
        report = json.loads(read_regular(path / "report.json", _MAX_REPORT_BYTES))
        return float(report["evaluation"]["mean_return"])
    return None


def paths_of(study: Study, env_id: str, arm: Arm) -> Sequence[Path]:
    """The run folders of one arm on one environment, in the order of the seeds."""
    return [study.path_of(env_id, arm, seed) for seed in study.seeds]
