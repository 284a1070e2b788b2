"""Runs an experiment: every arm on every environment with every seed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frankrl.experiments.claims import Arm, Experiment, settings_of
from frankrl.jobs import Engine, Job, do_missing


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


def run_study(study: Study, engine: Callable[[], Engine], on_done: Callable[[Job], None]) -> bool:
    """Do every run that is not done yet; arguments, result and errors as for `do_missing`."""
    return do_missing(study.jobs(), study.folder.absolute(), engine, on_done)


def paths_of(study: Study, env_id: str, arm: Arm) -> Sequence[Path]:
    """The run folders of one arm on one environment, in the order of the seeds."""
    return [study.path_of(env_id, arm, seed) for seed in study.seeds]
