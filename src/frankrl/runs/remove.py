"""Remove runs and groups of runs.

Of a group the runs go first. If that is interrupted, what is left is a group of fewer runs, and the
same command goes on. Then the empty group goes as a run does: see `runs.removal`.
"""

import os
from pathlib import Path

from frankrl.core import system
from frankrl.core.errors import RunFolderError, check_type
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.runs.claims import refuse_driven
from frankrl.runs.disk_usage import disk_usage
from frankrl.runs.group import RunGroup, is_group
from frankrl.runs.layout import DRIVER, GROUP
from frankrl.runs.removal import (
    deleted,
    finish_removals,
    gone_name,
    is_half_removed,
    older_checkpoints,
    removable,
    remove_older_checkpoints,
    remove_runs,
)

_TOGETHER = 100
"""Runs that are locked, and therefore have open files, at the same time."""


def remove_run(run: str | os.PathLike[str], *, checkpoints: bool = False) -> int:
    """Remove a run, or a group of runs with all of them, from the disk.

    Args:
        run: the run folder, or the folder of a group.
        checkpoints: remove checkpoints only, but for the newest one of each run.

    Returns:
        What is freed. [bytes]

    Raises:
        RunFolderError: it is no run, holds other files, is being written, or cannot be changed.
    """
    check_type(checkpoints, "checkpoints", bool, "True or False")
    path = given_path(run, "the run folder").absolute()
    if not checkpoints and is_half_removed(path):
        finish_removals([path])
        return 0
    runs = removable_group(path) if is_group(path) else [removable(run)]
    if checkpoints:
        freed = disk_usage(one for each in runs for one in older_checkpoints(each)).freed
        for each in runs:
            remove_older_checkpoints(each)
        return freed
    freed = disk_usage([path]).freed
    if is_group(path):
        remove_group(path)
    else:
        remove_runs(runs)
    return freed


def removable_group(path: Path) -> list[Path]:
    """The runs of a group that can be removed; nothing is changed.

    Args:
        path: the group's folder.

    Raises:
        RunFolderError: it is no group, holds other files, is being trained, or a run of it cannot
            be removed.
    """
    if path.is_symlink():
        raise RunFolderError(f"{path} is a symbolic link; name the folder that it leads to")
    # Between two runs, their own locks say nothing.
    refuse_driven(path)
    group = RunGroup.open(path)
    runs = group.begun()
    own = {GROUP, DRIVER, *(run.name for run in map(group.path_of, group.seeds))}
    if others := sorted(set(_without_remains(os.listdir(path), own)) - own):
        raise RunFolderError(
            f"only what runs wrote is removed, and {path} also holds {shown(others[0])}: move that "
            "away"
        )
    return [removable(run) for run in runs]


def _without_remains(names: list[str], own: set[str]) -> list[str]:
    """The names in a group's folder but for what interrupted removals of its runs have left."""
    remains = tuple(f".{name}.gone-" for name in own)
    return [name for name in names if not name.startswith(remains)]


def remove_group(path: Path) -> None:
    """Remove a group and all its runs.

    Raises:
        RunFolderError: as for `removable_group`, or a folder cannot be changed.
    """
    runs = removable_group(path)
    for first in range(0, len(runs), _TOGETHER):
        remove_runs(runs[first : first + _TOGETHER])
    group = RunGroup.open(path)
    finish_removals(map(group.path_of, group.seeds))
    # What could not be deleted of its runs is named while it lies where it was.
    if others := sorted({*os.listdir(path)} - {GROUP, DRIVER}):
        raise RunFolderError(f"{path} is left, because it also holds {shown(others[0])}")
    gone = gone_name(path)
    try:
        system.rename(path, gone)
    except OSError as error:
        raise RunFolderError(
            f"{path} is left without runs, because it cannot be renamed: {error.strerror}"
        ) from error
    left = deleted(gone)
    finish_removals([path])
    if left:
        raise RunFolderError(f"{left}. The same command tries again")
