"""The path of a run folder: what is there, what may be put there, and how that is done."""

import contextlib
import os
import shutil
import tomllib
from pathlib import Path

from frankrl.core import system
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.text import shown
from frankrl.core.wording import option, resuming
from frankrl.runs.contents import others_in
from frankrl.runs.description import RunDescription
from frankrl.runs.disk import flush_folder, read_regular
from frankrl.runs.layout import CONFIG, MAX_CONFIG_BYTES, METRICS
from frankrl.runs.lock import LOCK, RunLock, locked
from frankrl.runs.metrics import MetricsWriter, metrics_files

_MAX_NAMED = 5
"""Number of files that a message names."""


def temporary_for(path: Path) -> Path:
    """Where this process makes a run folder before it is put in its place."""
    return path.with_name(f".{path.name}.new-{os.getpid()}")


def put_in_place(complete: Path, path: Path) -> None:
    """Rename a complete run folder to its path; a run that is there is replaced, or stays.

    Raises:
        OSError: the folder cannot be renamed.
        RunFolderError: a process writes the run that is there.
    """
    replaced = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        if path.exists():
            with locked(path, path):
                if not system.IS_WINDOWS:
                    system.rename(path, replaced)
            if system.IS_WINDOWS:
                # It renames no folder in which a file is open, and the lock is one.
                system.rename(path, replaced)
        system.rename(complete, path)
        flush_folder(path.parent)
    finally:
        if replaced.exists() and not path.exists():
            system.rename(replaced, path)
        shutil.rmtree(replaced, ignore_errors=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse a path at which no run may be made.

    Raises:
        RunFolderError: something exists there that must not be replaced.
    """
    try:
        if not path.exists() and not path.is_symlink():
            return
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be a run folder: {error}") from error
    if path.is_symlink():
        raise RunFolderError(f"{path} is a symbolic link; name the folder that it leads to")
    if not is_run(path):
        if path.is_dir() and not any(path.iterdir()):
            return
        raise RunFolderError(f"{path} exists and is not a run: choose another {option('out')}")
    if not overwrite:
        raise RunFolderError(
            f"the run {path} exists already; continue it with {resuming(path)}, replace it with "
            f"{option('overwrite', True)}, or choose another {option('out')}"
        )
    if others := others_of_run(path):
        raise RunFolderError(
            f"{option('overwrite', True)} removes what a run wrote and nothing else, and {path} "
            f"also holds {others}: move that away, or choose another {option('out')}"
        )


def others_of_run(path: Path) -> str:
    """The entries of a run folder that no run writes, in words; empty: there are none.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    trackers = ()
    with contextlib.suppress(FrankError, UnicodeDecodeError):
        text = read_regular(path / CONFIG, MAX_CONFIG_BYTES).decode()
        trackers = RunDescription.from_toml(text).settings.saving.log
    try:
        others = others_in(path, trackers)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    return ", ".join(map(shown, others[:_MAX_NAMED])) + ", …" * (len(others) > _MAX_NAMED)


def check_can_hold_run(folder: Path, run: Path) -> None:
    """Refuse a file system without locks or without SQLite's log; leaves nothing in the folder.

    Raises:
        OSError, sqlite3.Error, RunFolderError: a run cannot be written there.
    """
    RunLock(folder, run).release()
    MetricsWriter(folder / METRICS).close()
    for file in (folder / LOCK, *metrics_files(folder / METRICS)):
        file.unlink(missing_ok=True)


def is_run(path: Path) -> bool:
    """Whether a folder's `config.toml` is one of Frank's."""
    try:
        text = read_regular(path / CONFIG, MAX_CONFIG_BYTES).decode()
        run = tomllib.loads(text).get("run")
    except (RunFolderError, ValueError, RecursionError):
        return False
    return isinstance(run, dict) and "env_id" in run and "seed" in run
