"""Makes the environments of a run, and the processes that step them, from its settings."""

from collections.abc import Sequence
from typing import NamedTuple

from frankrl.config import EnvironmentSettings
from frankrl.core.backend import visible_cpus
from frankrl.core.errors import SettingError
from frankrl.environments.env_group import Worker, start_workers, worthwhile_workers
from frankrl.environments.gymnasium_vector import GymnasiumVector
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.vector import EnvironmentVector


def make_vector(
    settings: EnvironmentSettings,
    spec: EnvironmentSpec,
    seed: int,
    workers: Sequence[Worker] = (),
    part: range | None = None,
) -> EnvironmentVector:
    """The training environments of a run, each at the beginning of its first episode.

    Args:
        settings: backend and number of environments.
        spec: the environment.
        seed: the run's seed.
        workers: processes that step some of Gymnasium's environments; EnvPool has its own threads.
        part: indices of the environments that are made; None: all of the run.

    Raises:
        FrankError: an environment cannot be made, or fails at its first reset.
    """
    part = range(settings.num_envs) if part is None else part
    if settings.backend == "envpool":
        from frankrl.environments.envpool import EnvPoolVector

        return EnvPoolVector(spec, len(part), seed, part.start)
    return GymnasiumVector(
        spec,
        len(part),
        seed,
        workers,
        info_metrics=settings.info_metrics,
        most_restarts=settings.restart_failed_envs,
        first=part.start,
    )


class WorkerPool(NamedTuple):
    """The worker processes of a run: all, those for training, those for evaluations."""

    workers: list[Worker]
    training: list[Worker]
    evaluation: list[Worker]

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.close()


def start_worker_pool(
    settings: EnvironmentSettings,
    step_seconds: float,
    most_evaluated: int,
    *,
    overlap: bool,
    objects: Sequence[str] = (),
    trains: bool = True,
) -> WorkerPool:
    """Start as many worker processes as speed up the run, or as the settings say.

    Args:
        settings: settings of the environments.
        step_seconds: time of a step of the environment.
        most_evaluated: maximum number of environments stepped together in an evaluation.
        overlap: whether the learner computes while environments are stepped.
        objects: names of objects that the environments are made of, which no other process has;
            with any, there are no workers.
        trains: whether training environments are stepped here; else workers are for evaluations.

    Raises:
        SettingError: the settings want workers in spite of that.
    """
    if objects:
        if settings.worker_processes:
            raise SettingError(
                f"worker_processes ({settings.worker_processes}) cannot be had with "
                f"{', '.join(objects)}: another process can only make what a module defines; move "
                "it into a module, or set worker_processes to 0"
            )
        return WorkerPool([], [], [])
    training = evaluation = settings.worker_processes
    if training is None or evaluation is None:
        # The learner is idle during an evaluation.
        spare = visible_cpus() - 1
        training = worthwhile_workers(step_seconds, settings.num_envs, spare - overlap)
        evaluation = worthwhile_workers(step_seconds, most_evaluated, spare)
    is_elsewhere = settings.backend == "envpool" or not trains
    training = 0 if is_elsewhere else min(training, settings.num_envs - 1)
    workers = start_workers(max(training, min(evaluation, most_evaluated - 1)))
    return WorkerPool(workers, workers[:training], workers[:evaluation])
