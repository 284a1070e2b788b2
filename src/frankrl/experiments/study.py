"""Runs an experiment: every arm on every environment with every seed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frankrl.core.errors import FrankError
from frankrl.experiments.claims import Arm, Experiment, settings_of
from frankrl.jobs import Ended, Engine, Job, is_done, run_jobs


@dataclass(frozen=True)
class Study:
    """An experiment with its environments and seeds."""

    experiment: Experiment
    env_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    """Folder of the runs. Experiments with the same folder share identical runs."""

    def jobs(self) -> list[Job]:
        """Every run of the study, seed by seed, so that a stopped study has complete seeds."""
        return [
            Job(
                env_id,
                arm.name,
                settings_of(self.experiment, arm, env_id),
                seed,
                self.path_of(env_id, arm, seed).absolute(),
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


def run_study(
    study: Study, make_engine: Callable[[], Engine], on_done: Callable[[Job], None]
) -> bool:
    """Do every run that is not done yet; stopped runs are continued.

    Args:
        study: the runs to do.
        make_engine: makes what does them, if one is missing; it is closed at the end.
        on_done: called for each finished run, including runs finished earlier.

    Returns:
        Whether every run is finished; not if the engine only prints commands.

    Raises:
        FrankError: a run cannot be started or continued.
        StoppedError: a stop was requested; everything done so far is saved.
    """
    missing: list[Job] = []
    for job in study.jobs():
        if is_done(job.run):
            on_done(job)
        else:
            missing.append(job)
    left = len(missing)

    def ended(end: Ended) -> None:
        nonlocal left
        if end.error:
            raise FrankError(end.error)
        if end.is_done:
            left -= 1
            on_done(end.job)

    if missing:
        run_jobs(make_engine(), lambda: missing.pop(0) if missing else None, ended)
    return not left


def paths_of(study: Study, env_id: str, arm: Arm) -> Sequence[Path]:
    """The run folders of one arm on one environment, in the order of the seeds."""
    return [study.path_of(env_id, arm, seed) for seed in study.seeds]
