"""Reading where a run stands; nothing is written, so a checkpoint that is no good costs nothing."""

from typing import NamedTuple

import numpy as np

from frankrl.config import Settings
from frankrl.environments import EnvironmentLog
from frankrl.errors import DamagedError, SettingError
from frankrl.runs import RunFolder, Tensors, check_same_environment, load_newest
from frankrl.training.saving import BEST_FILE, from_tensors, most_bytes
from frankrl.training.standing import Standing
from frankrl.training.state import TrainState


class Found(NamedTuple):
    """What a run's newest intact checkpoint holds."""

    standing: Standing
    state: TrainState
    logs: list[EnvironmentLog]
    interval: np.ndarray
    """Statistics of the updates since the last row of metrics."""
    best: Tensors | None
    """The agent of the best look."""
    damaged: list[DamagedError]
    """What is wrong with each newer checkpoint."""


def read_run(folder: RunFolder, settings: Settings, like: TrainState) -> Found:
    """Read the newest checkpoint that is intact.

    Args:
        folder: the run's.
        settings: those that it is to continue with.
        like: a state with these settings.

    Raises:
        RunFolderError: there is none, or it does not fit the settings.
        SettingError: the run is beyond its budget already.
    """
    # The last round may go beyond the budget that the run had.
    budget = folder.description.settings.training.total_env_steps
    written_within = budget + settings.round_env_steps
    most = most_bytes(settings, like, written_within)
    loaded, damaged = load_newest(folder.checkpoints, most, optional=(BEST_FILE,))
    check_same_environment(folder, loaded.info)
    standing = Standing.from_info(loaded.info, settings)
    if settings.training.total_env_steps < standing.env_steps:
        raise SettingError(
            f"the run has already done {standing.env_steps:,} env steps: total_env_steps "
            f"cannot be {settings.training.total_env_steps:,}"
        )
    tensors = loaded.tensors
    state, logs, interval = from_tensors(tensors, like, standing.env_steps, standing.updates)
    return Found(standing, state, logs, interval, tensors.get(BEST_FILE), damaged)
