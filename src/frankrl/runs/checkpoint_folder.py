"""The folder of a run's checkpoints: which there are, and removing the oldest."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from frankrl.core import system
from frankrl.core.errors import RunFolderError


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first; reading shows whether one is intact.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be read: {error.strerror}") from error
    numbered = [name for name in names if name.isascii() and name.isdigit()]
    return [folder / name for name in sorted(numbered, key=int)]


def remove_checkpoints(folder: Path, *, keep: int) -> None:
    """Remove the oldest checkpoints in a folder.

    Args:
        folder: folder of checkpoints.
        keep: number of newest checkpoints to keep.

    Raises:
        OSError: one cannot be removed.
        RunFolderError: the folder cannot be read.
    """
    there = list_checkpoints(folder)
    for checkpoint in there[: max(0, len(there) - keep)]:
        remove_checkpoint(checkpoint)


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove one checkpoint.

    Raises:
        OSError: it cannot be removed.
    """
    # Renamed first, so that an interrupted removal leaves no incomplete checkpoint.
    gone = checkpoint.with_name(f".{checkpoint.name}.gone")
    system.rename(checkpoint, gone)
    shutil.rmtree(gone)


def set_aside(damaged: Iterable[Path]) -> None:
    """Rename damaged checkpoints to `.<env steps>.damaged`, so that they are not used.

    Raises:
        OSError: the folder cannot be changed.
    """
    for checkpoint in damaged:
        aside = checkpoint.with_name(f".{checkpoint.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        system.rename(checkpoint, aside)


def tidy_checkpoints(folder: Path) -> None:
    """Clean up after a killed process; only for the process that writes the run.

    Raises:
        OSError: the folder cannot be changed.
    """
    if not folder.is_dir():
        return
    for entry in list(folder.iterdir()):
        if not entry.name.startswith("."):
            continue
        if entry.suffix == ".old" and not (whole := folder / entry.stem[1:]).exists():
            system.rename(entry, whole)
        elif entry.suffix in (".new", ".old", ".gone"):
            shutil.rmtree(entry)
