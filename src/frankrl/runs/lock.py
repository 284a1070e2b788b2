"""One writer per run folder."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from frankrl.core import system
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.process_life import began, is_alive
from frankrl.core.wording import option, resuming
from frankrl.runs.disk import read_regular, refuse_shared

LOCK = ".lock"
_CLOCK_SECONDS = 2.0
"""Largest difference between the clock of the file system and that of processes."""
_MAX_BYTES = 32


class RunLock:
    """The lock that a process holds while it writes a run; it ends with the process."""

    def __init__(self, folder: Path, shown: Path) -> None:
        """Take the lock of a folder.

        Args:
            folder: folder of the lock file.
            shown: the run's path in messages.

        Raises:
            RunFolderError: another process writes the run, or the folder is not writable.
        """
        self._path = folder / LOCK
        self._file = _locked_file(folder, shown)
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except OSError as error:
            self.release()
            raise RunFolderError(f"the run {shown} cannot be written: {error}") from error

    def check(self) -> None:
        """Check that the run folder is still where it was.

        Raises:
            RunFolderError: it has been moved, deleted or replaced.
        """
        held = os.fstat(self._file.fileno())
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            there = None
        except OSError:
            # The disk fails; what is written next says how.
            return
        if there is None or (there.st_dev, there.st_ino) != (held.st_dev, held.st_ino):
            raise RunFolderError(self._gone())

    def _gone(self) -> str:
        """What happened to the run folder, as far as the system knows."""
        run = self._path.parent
        with contextlib.suppress(OSError):
            now = Path(os.readlink(f"/proc/self/fd/{self._file.fileno()}"))
            if now.exists():
                return (
                    f"the run folder {run} was moved to {now.parent} while it was written, so "
                    f"training stops here; its last checkpoint is there: {resuming(now.parent)}"
                )
        return (
            f"the run folder {run} was moved or deleted while it was written, so training stops "
            "here and nothing more is saved"
        )

    def release(self) -> None:
        """Let others write the run."""
        with contextlib.suppress(OSError):
            self._file.close()


def _locked_file(folder: Path, shown: Path) -> IO[str]:
    refuse_shared(folder / LOCK)
    try:
        descriptor = system.open_no_link(folder / LOCK, os.O_RDWR | os.O_CREAT)
        file = os.fdopen(descriptor, "r+", encoding="ascii")
    except OSError as error:
        raise RunFolderError(f"the run {shown} cannot be written: {error}") from error
    try:
        system.lock_file(file.fileno())
    except OSError as error:
        file.seek(0)
        writer = file.read(_MAX_BYTES).strip()
        file.close()
        if not system.lock_is_held(error):
            raise RunFolderError(
                f"the file system of {folder.parent} cannot lock files "
                f"({error.strerror or error}), as network file systems often cannot, so two "
                f"processes could write one run: {instead()}"
            ) from error
        raise RunFolderError(
            f"the run {shown} is being written by process {writer}; wait for it, stop it, "
            f"or choose another {option('out')}"
        ) from error
    return file


def instead() -> str:
    """What to do where the file system cannot hold a run while it is written."""
    return (
        f"publish the run there instead ({option('publish')}), which needs neither locks nor "
        f"SQLite's log, with an {option('out')} on a local disk"
    )


@contextlib.contextmanager
def locked(folder: Path, shown: Path) -> Iterator[None]:
    """Hold the lock of a folder within a context.

    Raises:
        RunFolderError: another process holds it.
    """
    lock = RunLock(folder, shown)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def locked_aside(run: Path) -> Iterator[None]:
    """Hold the lock of a run within a context, without counting as a process that wrote it.

    Raises:
        RunFolderError: another process holds it.
    """
    lock = run / LOCK
    is_new = not lock.exists()
    try:
        with contextlib.closing(_locked_file(run, run)):
            try:
                yield
            finally:
                if is_new and not system.IS_WINDOWS:
                    lock.unlink(missing_ok=True)
    finally:
        # Windows removes no file that is open; somebody else may have it open by now.
        if is_new and system.IS_WINDOWS:
            with contextlib.suppress(OSError):
                lock.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a process is writing the run, found out without taking the lock.

    Taking the lock even for a moment could refuse a run that begins just then. Instead this checks
    the process that took the lock last.
    """
    try:
        taken = os.stat(folder / LOCK, follow_symlinks=False).st_mtime
        writer = int(read_regular(folder / LOCK, _MAX_BYTES))
    except (OSError, ValueError, FrankError):
        return False
    if not is_alive(writer):
        return False
    # A process that started later has the reused number of one that has ended.
    start = began(writer)
    return start is None or start <= taken + _CLOCK_SECONDS
