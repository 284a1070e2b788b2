"""What is checked before a run begins or goes on."""

import numbers
import shutil
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.environments import EnvironmentSpec
from frankrl.errors import SettingError
from frankrl.replay import bytes_per_transition
from frankrl.runs.machine import available_memory

MAX_SEED = 2**64 - 1
_LARGEST_SHARE = 0.3
"""Part of the available memory that the buffer may take: writing it out takes two copies more."""


def memory_line(settings: Settings, spec: EnvironmentSpec) -> str:
    """What the replay buffer takes, in words."""
    each = bytes_per_transition(spec.observation_shape, spec.observation_dtype)
    capacity = settings.replay.replay_capacity
    return f"replay buffer: {capacity:,} transitions × {each:,} bytes = {_size(each * capacity)}"


def check_memory(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse a replay buffer that does not fit.

    Raises:
        SettingError: it needs more memory than there is.
    """
    each = bytes_per_transition(spec.observation_shape, spec.observation_dtype)
    there = available_memory()
    if there is None:
        return
    most = int(there * _LARGEST_SHARE / each)
    if settings.replay.replay_capacity > most:
        raise SettingError(
            f"the {memory_line(settings, spec)} does not fit into memory: {_size(there)} are "
            "available, and a checkpoint takes twice the buffer again while it is written; "
            f"replay_capacity can be {most:,} at most"
        )


def check_disk(path: Path, settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse a run whose checkpoints do not fit on the disk.

    Args:
        path: the run folder, which need not be there.
        settings: the run's.
        spec: its environment.

    Raises:
        SettingError: there is too little room.
    """
    each = bytes_per_transition(spec.observation_shape, spec.observation_dtype)
    transitions = min(settings.replay.replay_capacity, settings.training.total_env_steps)
    # A new checkpoint is written before the oldest one goes.
    checkpoints = settings.saving.keep_checkpoints + 1
    needed = each * transitions * checkpoints
    there = path.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        return
    if needed > free:
        raise SettingError(
            f"{_size(free)} are free in {there}, and {checkpoints} checkpoints with "
            f"{transitions:,} transitions take {_size(needed)}: choose another --out, or lower "
            "replay_capacity or keep_checkpoints"
        )


def check_threshold(settings: Settings, spec: EnvironmentSpec) -> None:
    """Refuse to wait for an environment to be solved that does not say when it is.

    Raises:
        SettingError: it names no reward threshold.
    """
    if settings.evaluation.until_solved and spec.reward_threshold is None:
        raise SettingError(
            f"{spec.env_id} names no reward threshold, so until_solved would never stop it; "
            "give it a budget with total_env_steps instead"
        )


def check_seed(seed: Any) -> None:
    """Refuse what is no seed.

    Raises:
        SettingError: it is not a whole number in range.
    """
    whole = isinstance(seed, numbers.Integral) and not isinstance(seed, bool)
    if not whole or not 0 <= int(seed) <= MAX_SEED:
        raise SettingError(f"seed must be a whole number from 0 to 2^64 - 1, got {seed!r}")


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"
