"""Reads the state of a run from its checkpoints; writes nothing."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import DamagedError, RunFolderError, SettingError
from frankrl.core.figures import counted
from frankrl.core.wording import option
from frankrl.environments import EnvironmentLog, EnvironmentSpec, spec_from_data
from frankrl.experience import ActorsState, Statistics
from frankrl.learning import LearnerState
from frankrl.runs import (
    Loaded,
    RunFolder,
    Tensors,
    check_same_environment,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    read_newest,
)
from frankrl.runs.no_checkpoint import begin_again
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.codec import (
    BEST_FILE,
    actors_of,
    from_checkpoint,
    learner_of,
    logs_of,
    memory_of,
    most_bytes,
    statistics_of,
)
from frankrl.training.interval import Interval
from frankrl.training.replay_codec import DEMONSTRATIONS, REPLAY
from frankrl.training.state import Experiment, ReplayStart, TrainState


class Found(NamedTuple):
    """The content of a run's newest intact checkpoint."""

    metadata: CheckpointMetadata
    state: TrainState
    logs: list[EnvironmentLog]
    interval: Interval
    best: Tensors | None
    """Weights of the agent with the best evaluation."""
    damaged: list[DamagedError]
    """What is wrong with each newer checkpoint."""
    loaded: Loaded
    """The checkpoint itself."""
    experiment: Experiment
    """The experiment that goes on from here."""
    statistics: tuple[Statistics | None, Float[np.ndarray, " env"]]
    """Running statistics, as `HostSource.restore_statistics` takes them."""
    memory: Float[np.ndarray, "env unit"] | None
    """Of each environment's episode, as `HostSource.restore_memory` takes it."""
    actors: ActorsState | None
    """Of actors that run freely; None if there are none."""


def read_run(
    folder: RunFolder,
    experiment: Experiment,
    read_too: Callable[[Path], None] = lambda checkpoint: None,
) -> Found:
    """Read the newest intact checkpoint.

    Checkpoints share most of their replay buffers, so one fault of the disk can damage those of
    all. With `checkpoint_replay` none the run then goes on without.

    Args:
        folder: the run's folder.
        experiment: the experiment, with the settings for continuing.
        read_too: reads what else belongs to a checkpoint; raises `DamagedError` as well.

    Raises:
        RunFolderError: there is none, or it does not fit the settings.
        SettingError: the run has already done more than the budget; or it was solved, ends there,
            and has a larger budget now.
    """
    if not list_checkpoints(folder.checkpoints):
        raise RunFolderError(
            f"{folder.path} holds no checkpoint: its training stopped before the first one"
            f"{begin_again(folder)}"
        )

    settings = experiment.settings

    def whole(checkpoint: Path, *, with_replay: bool = True) -> Found:
        found = read_checkpoint(folder, experiment, checkpoint, with_replay=with_replay)
        read_too(checkpoint)
        return found

    try:
        found, damaged = read_newest(folder.checkpoints, whole)
    except DamagedError as error:
        if not settings.has_replay or experiment.data is not None:
            raise
        if settings.saving.checkpoint_replay == "all":
            raise DamagedError(
                f"{error}; if nothing but the replay buffer is damaged, "
                f"{option('checkpoint_replay', 'none')} goes on with an empty one",
                error.checkpoint,
            ) from error
        found, damaged = read_newest(
            folder.checkpoints, functools.partial(whole, with_replay=False)
        )
    metadata = found.metadata
    if settings.budget < metadata.env_steps:
        raise SettingError(
            f"the run has already done {counted(metadata.env_steps, settings.clock.unit)}: "
            f"{settings.budget_name} cannot be {settings.budget:,}"
        )
    is_raised = settings.budget > folder.description.settings.budget
    if is_raised and settings.evaluation.until_solved and metadata.solved is not None:
        raise SettingError(
            f"the run was solved at {counted(metadata.solved.env_steps, settings.clock.unit)}, and "
            "until_solved ends it there: set it to false (--no-until-solved) to train on"
        )
    return found._replace(damaged=damaged)


def stored_spec(folder: RunFolder, info: dict[str, Any]) -> EnvironmentSpec:
    """The environment of a run as a checkpoint describes it; nothing is imported or made.

    Raises:
        RunFolderError: the description is missing or not valid.
    """
    check_same_environment(folder, info)
    description = folder.description
    made = description.settings.environment
    return spec_from_data(
        info.get("environment"), description.env_id, made.env_kwargs, made.wrappers
    )


def newest_spec(folder: RunFolder) -> EnvironmentSpec:
    """The environment of a run as its newest checkpoint describes it; as `stored_spec`.

    Raises:
        RunFolderError: there is no checkpoint, or its description is not valid.
    """
    return stored_spec(folder, load_newest(folder.checkpoints, {})[0].info)


def read_checkpoint(
    folder: RunFolder, experiment: Experiment, checkpoint: Path, *, with_replay: bool = True
) -> Found:
    """Read one checkpoint of a run.

    Args:
        folder: the run's folder.
        experiment: the run's experiment.
        checkpoint: one of its checkpoints.
        with_replay: whether its replay buffer is read; else it counts as one that holds none.

    Raises:
        DamagedError: it is damaged.
        RunFolderError: it does not fit the settings.
    """
    most = _most_bytes(folder, experiment)
    if not with_replay:
        del most[REPLAY]
    loaded = load_checkpoint(checkpoint, most, optional=(BEST_FILE, REPLAY, DEMONSTRATIONS))
    check_same_environment(folder, loaded.info)
    metadata = CheckpointMetadata.from_info(loaded.info, experiment.settings)
    if not with_replay:
        metadata = metadata._replace(holds_replay=False)
        loaded = loaded.without_chunks()
    if (metadata.holds_replay and experiment.settings.has_replay) != (REPLAY in loaded.tensors):
        raise RunFolderError(f"{checkpoint} contradicts itself about its replay buffer")
    if experiment.data is not None and not metadata.holds_replay:
        raise RunFolderError(
            f"{checkpoint} does not hold the data that the run learns from (it was pulled without "
            "its replay buffer), so the run cannot go on from it: pull it with the buffer, or "
            "begin a new run with the data set"
        )
    start = metadata.replay_start
    if not metadata.holds_replay:
        start = ReplayStart(metadata.env_steps, metadata.updates)
    experiment = experiment.with_replay_start(start)
    state, logs, interval = from_checkpoint(
        loaded, experiment, metadata.env_steps, metadata.updates
    )
    best = loaded.tensors.get(BEST_FILE)
    return Found(
        metadata=metadata,
        state=state,
        logs=logs,
        interval=interval,
        best=best,
        damaged=[],
        loaded=loaded,
        experiment=experiment,
        statistics=statistics_of(loaded, experiment),
        memory=memory_of(loaded, experiment),
        actors=actors_of(loaded, experiment),
    )


def read_learner(
    folder: RunFolder, experiment: Experiment, checkpoint: Path
) -> tuple[LearnerState, list[EnvironmentLog]]:
    """Read the learner and the environments' snapshots of a checkpoint, but not its buffer.

    Raises:
        RunFolderError: it is damaged, or does not fit the settings.
    """
    most = _most_bytes(folder, experiment)
    for file in (REPLAY, DEMONSTRATIONS):
        most.pop(file, None)
    loaded = load_checkpoint(checkpoint, most, optional=(BEST_FILE,))
    check_same_environment(folder, loaded.info)
    return learner_of(loaded, experiment), logs_of(loaded, experiment)


def _most_bytes(folder: RunFolder, experiment: Experiment) -> dict[str, int]:
    # The last round may go beyond the budget that the run had.
    budget = folder.description.settings.budget
    return most_bytes(experiment, budget + experiment.settings.round_ticks)
