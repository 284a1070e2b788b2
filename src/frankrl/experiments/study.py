"""Runs an experiment: every arm on every environment with every seed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from frankrl.config import Settings
from frankrl.core.errors import FrankError
from frankrl.core.seeds import seeds_in_file_name
from frankrl.core.stopping import StoppedAtOnceError, StoppedError
from frankrl.core.wording import option
from frankrl.experiments.claims import FUNCTIONAL, Arm, Experiment, settings_of
from frankrl.jobs import Engine, Job, do_missing, is_done
from frankrl.runs.group import RunGroup, is_group
from frankrl.seeds.resume import resume_seeds
from frankrl.seeds.train import HowToTrain, train_seeds

Device = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class Study:
    """An experiment with its environments and seeds."""

    experiment: Experiment
    env_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    """Folder of the runs. Experiments with the same folder share identical runs."""
    device: Device = "cpu"
    """The setting of this name of all runs; the bits of a run depend on it."""

    @property
    def num_runs(self) -> int:
        """Number of runs of the study, of which experiments may share some."""
        return len(self.seeds) * len(self.env_ids) * len(self.experiment.arms)

    def jobs(self) -> list[Job]:
        """Every run in ordinary environments, seed by seed, so that a stopped study has complete
        seeds."""
        return [
            Job(
                env_id,
                arm.name,
                self.settings(env_id, arm),
                seed,
                self.path_of(env_id, arm, seed).absolute(),
            )
            for seed in self.seeds
            for env_id in self.env_ids
            for arm in self.experiment.arms
            if env_id not in FUNCTIONAL
        ]

    def groups(self) -> list[tuple[str, Arm]]:
        """The environments that are functions, with each arm: there all seeds are one group."""
        functional = [env_id for env_id in self.env_ids if env_id in FUNCTIONAL]
        return [(env_id, arm) for env_id in functional for arm in self.experiment.arms]

    def group_path(self, env_id: str, arm: Arm) -> Path:
        """The folder of a group; it depends on settings and seeds, not on the arm's name."""
        which = seeds_in_file_name(self.seeds)
        return self.folder / env_id / f"{self._name(env_id, arm)}-s{which}"

    def path_of(self, env_id: str, arm: Arm, seed: int) -> Path:
        """The run folder of one arm; it depends on the settings, not on the arm's name."""
        if env_id in FUNCTIONAL:
            return self.group_path(env_id, arm) / f"s{seed}"
        return self.folder / env_id / f"{self._name(env_id, arm)}-s{seed}"

    def settings(self, env_id: str, arm: Arm) -> Settings:
        """The settings of the runs of an arm."""
        return settings_of(self.experiment, arm, env_id).with_changes(device=self.device)

    def _name(self, env_id: str, arm: Arm) -> str:
        text = json.dumps(self.settings(env_id, arm).to_tables(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def run_study(
    study: Study,
    engine: Callable[[], Engine],
    on_run: Callable[[Path], None],
    how: HowToTrain = HowToTrain(progress=False),  # noqa: B008
) -> bool:
    """Do every run that is not done yet.

    Args:
        study: the study.
        engine: what does runs in ordinary environments, as for `do_missing`.
        on_run: called with the folder of each run that is done, including those that were done
            earlier.
        how: how the seeds of functional environments are trained.

    Returns:
        Whether every run is over; not if commands are only printed.

    Raises:
        FrankError: as for `do_missing`.
    """
    folder = study.folder.absolute()
    is_over = do_missing(study.jobs(), folder, engine, lambda job: on_run(job.run))
    for env_id, arm in study.groups():
        is_over &= _train_group(study, env_id, arm, how)
        for path in paths_of(study, env_id, arm):
            if is_done(path):
                on_run(path)
    return is_over


def _train_group(study: Study, env_id: str, arm: Arm, how: HowToTrain) -> bool:
    """Do what is left of the runs of an arm; returns whether all are over."""
    path, settings = study.group_path(env_id, arm).absolute(), study.settings(env_id, arm)
    group = RunGroup.open(path) if is_group(path) else None
    if group is not None and group.description.settings.budget != settings.budget:
        raise FrankError(
            f"{path} was taken on to {group.description.settings.budget:,} env steps, and the "
            f"experiment has {settings.budget:,}: move it away, or choose another {option('out')}"
        )
    if all(map(is_done, paths_of(study, env_id, arm))):
        return True
    try:
        if group is not None:
            return resume_seeds(group, how) is not None
        return train_seeds(env_id, arm.name, settings, study.seeds, path, how) is not None
    except StoppedAtOnceError:
        raise
    except StoppedError as stop:
        # The group's own command would go on with this arm alone.
        raise StoppedError(
            "stopped; every run is saved, and the same command continues", stop.exit_status
        ) from None


def paths_of(study: Study, env_id: str, arm: Arm) -> Sequence[Path]:
    """The run folders of one arm on one environment, in the order of the seeds."""
    return [study.path_of(env_id, arm, seed) for seed in study.seeds]
