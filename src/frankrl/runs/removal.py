"""How runs, or their older checkpoints, are removed: completely or not at all.

A run, or a group that is empty, is renamed to `.<name>.gone-<process>` beside it before anything of
it is deleted, so one that is there is whole. What an interrupted removal leaves, the next removal
of the same name deletes.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from frankrl.core import system
from frankrl.core.errors import DamagedError, RunFolderError
from frankrl.core.paths import given_path
from frankrl.runs.checkpoint import verify_checkpoint
from frankrl.runs.checkpoint_folder import list_checkpoints, remove_checkpoints, tidy_checkpoints
from frankrl.runs.disk import flush_folder
from frankrl.runs.layout import CHECKPOINTS, CONFIG, DRIVER, GROUP
from frankrl.runs.lock import LOCK, locked_aside
from frankrl.runs.place import is_run, others_of_run

_GONE = re.compile(r"\.(.+)\.gone-\d+", re.DOTALL)
_LAST = (CONFIG, LOCK)
"""The files that are deleted last: by them a removal that was interrupted is known and locked."""


def removable(run: str | os.PathLike[str]) -> Path:
    """The folder of a run that can be removed; nothing is changed.

    Raises:
        RunFolderError: it is no run, holds other files, is being written, or cannot be changed.
        SettingError: the path can never lead anywhere.
    """
    given = given_path(run, "the run folder")
    if given.is_symlink():
        raise RunFolderError(f"{given} is a symbolic link; name the folder that it leads to")
    path = given.resolve()
    if not path.exists():
        raise RunFolderError(f"there is no run {given}")
    if not is_run(path):
        raise RunFolderError(
            f"{given} is no run, because it holds no readable {CONFIG} of one, so nothing in it "
            "is removed"
        )
    if others := others_of_run(path):
        raise RunFolderError(
            f"only what a run wrote is removed, and {given} also holds {others}: move that away"
        )
    with locked_aside(path):
        pass
    for folder in (path.parent, *(Path(place) for place, _, _ in os.walk(path))):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise RunFolderError(f"{given} cannot be removed: you may not change {folder}")
    return path


def remove_runs(runs: Sequence[Path]) -> None:
    """Remove run folders: all of them, or none if one is being written or cannot be renamed.

    Args:
        runs: what `removable` returned.

    Raises:
        RunFolderError: a run is being written or cannot be removed.
    """
    gone: dict[Path, Path] = {}
    with contextlib.ExitStack() as stack:
        for run in runs:
            stack.enter_context(locked_aside(run))
        if system.IS_WINDOWS:
            # It renames no folder in which a file is open, and the lock is one.
            stack.close()
        try:
            for run in runs:
                gone[run] = gone_name(run)
                system.rename(run, gone[run])
        except OSError as error:
            for run, place in gone.items():
                if not run.exists():
                    system.rename(place, run)
            raise RunFolderError(
                f"nothing was removed: {list(gone)[-1]} cannot be renamed: {error.strerror}"
            ) from error
        left = [words for place in gone.values() if (words := deleted(place))]
    finish_removals(runs)
    if left:
        raise RunFolderError(
            f"not all could be deleted: {'; '.join(left)}. The same command tries again"
        )


def gone_name(folder: Path) -> Path:
    """What this process renames a run or a group to before it deletes it."""
    return folder.with_name(f".{folder.name}.gone-{os.getpid()}")


def deleted(place: Path) -> str:
    """Delete a folder that was renamed to its `gone_name`; returns why something is left, in words;
    empty: nothing is."""
    try:
        flush_folder(place.parent)
        _delete(place)
    except OSError as error:
        return f"{place} is left, because {error.filename}: {error.strerror}"
    return ""


def is_half_removed(run: Path) -> bool:
    """Whether a run or group is not there, and an interrupted removal has left something of it."""
    return not run.exists() and bool(_left_of(run))


def finish_removals(runs: Iterable[Path]) -> None:
    """Delete what interrupted removals have left of some runs or groups."""
    for run in runs:
        for place in _left_of(run):
            with contextlib.suppress(OSError, RunFolderError):
                with locked_aside(place):
                    if not system.IS_WINDOWS:
                        _delete(place)
                if system.IS_WINDOWS:
                    # It deletes no file that is open, and the lock is one.
                    _delete(place)


def _left_of(run: Path) -> list[Path]:
    """The folders that removals of a run or group have left, if they hold nothing else."""
    places: list[Path] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(run.parent):
            found, place = _GONE.fullmatch(name), run.parent / name
            if found and found[1] == run.name and not place.is_symlink():
                of_group = {GROUP, DRIVER, LOCK}.issuperset(os.listdir(place))
                places += [place] if of_group or not others_of_run(place) else []
    return places


def _delete(place: Path) -> None:
    """Delete a folder, the files that identify it last."""
    with os.scandir(place) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif entry.name not in _LAST:
                os.unlink(entry.path)
    for name in _LAST:
        (place / name).unlink(missing_ok=True)
    place.rmdir()
    flush_folder(place.parent)


def older_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run but for its newest one.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    return list_checkpoints(run / CHECKPOINTS)[:-1]


def remove_older_checkpoints(run: Path) -> None:
    """Remove the checkpoints of a run but for its newest one, which is read first.

    Args:
        run: what `removable` returned.

    Raises:
        RunFolderError: the run is being written, its newest checkpoint is damaged, or the folder
            cannot be changed.
    """
    if not older_checkpoints(run):
        return
    folder = run / CHECKPOINTS
    with locked_aside(run):
        try:
            tidy_checkpoints(folder)
            verify_checkpoint(list_checkpoints(folder)[-1])
            remove_checkpoints(folder, keep=1)
            flush_folder(folder)
        except DamagedError as error:
            raise RunFolderError(f"no checkpoint was removed: {error}") from error
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be changed: {error.strerror}") from error
