"""Reads the state of a run from its checkpoints; writes nothing."""

from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import DamagedError, SettingError
from frankrl.core.figures import counted
from frankrl.environments import EnvironmentLog, EnvironmentSpec, spec_from_data
from frankrl.runs import (
    Loaded,
    RunFolder,
    Tensors,
    check_same_environment,
    load_checkpoint,
    load_newest,
)
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.codec import BEST_FILE, from_tensors, most_bytes
from frankrl.training.interval import Interval
from frankrl.training.state import Experiment, TrainState


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


def read_run(folder: RunFolder, experiment: Experiment) -> Found:
    """Read the newest intact checkpoint.

    Args:
        folder: the run's folder.
        experiment: the experiment, with the settings for continuing.

    Raises:
        RunFolderError: there is none, or it does not fit the settings.
        SettingError: the run has already done more env steps than the budget.
    """
    most = _most_bytes(folder, experiment)
    loaded, damaged = load_newest(folder.checkpoints, most, optional=(BEST_FILE,))
    found = _found(folder, experiment, loaded)._replace(damaged=damaged)
    metadata = found.metadata
    settings = experiment.settings
    if settings.training.total_env_steps < metadata.env_steps:
        raise SettingError(
            f"the run has already done {counted(metadata.env_steps, 'env step')}: "
            f"total_env_steps cannot be {settings.training.total_env_steps:,}"
        )
    return found


def stored_spec(folder: RunFolder, info: dict[str, Any]) -> EnvironmentSpec:
    """The environment of a run as a checkpoint describes it; nothing is imported or made.

    Raises:
        RunFolderError: the description is missing or not valid.
    """
    check_same_environment(folder, info)
    description = folder.description
    kwargs = description.settings.environment.env_kwargs
    return spec_from_data(info.get("environment"), description.env_id, kwargs)


def read_checkpoint(folder: RunFolder, experiment: Experiment, checkpoint: Path) -> Found:
    """Read one checkpoint of a run.

    Raises:
        RunFolderError: it is damaged, or does not fit the settings.
    """
    most = _most_bytes(folder, experiment)
    loaded = load_checkpoint(checkpoint, most, optional=(BEST_FILE,))
    return _found(folder, experiment, loaded)


def _most_bytes(folder: RunFolder, experiment: Experiment) -> dict[str, int]:
    # The last round may go beyond the budget that the run had.
    budget = folder.description.settings.training.total_env_steps
    return most_bytes(experiment, budget + experiment.settings.round_env_steps)


def _found(folder: RunFolder, experiment: Experiment, loaded: Loaded) -> Found:
    check_same_environment(folder, loaded.info)
    metadata, tensors = (
        CheckpointMetadata.from_info(loaded.info, experiment.settings),
        loaded.tensors,
    )
    state, logs, interval = from_tensors(tensors, experiment, metadata.env_steps, metadata.updates)
    return Found(metadata, state, logs, interval, tensors.get(BEST_FILE), [])
