"""One writer per run folder."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from frankrl.core.errors import FrankError, RunFolderError
from frankrl.runs.disk import NO_LINK, read_regular

LOCK = ".lock"
_CLOCK_SECONDS = 2.0
"""By how much the clocks of a file and of a process may differ."""
_MAX_BYTES = 32
_START_TICKS = 19
"""Where a process's `stat` has its start, counted behind its name."""


class RunLock:
    """Held while a process writes a run; it goes with the process, however that ends."""

    def __init__(self, folder: Path, shown: Path) -> None:
        """Take the lock of a folder.

        Args:
            folder: where the lock lies.
            shown: the run, as the message calls it.

        Raises:
            RunFolderError: another process writes the run, or the folder is not writable.
        """
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
            self._file = os.fdopen(descriptor, "r+", encoding="ascii")
        except OSError as error:
            raise RunFolderError(f"the run {shown} cannot be written: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            writer = self._file.read().strip()
            self._file.close()
            raise RunFolderError(
                f"the run {shown} is being written by process {writer}; wait for it, stop it, "
                "or choose another --out"
            ) from error
        try:
            self._file.truncate(0)
            self._file.write(str(os.getpid()))
            self._file.flush()
        except OSError as error:
            self.release()
            raise RunFolderError(f"the run {shown} cannot be written: {error}") from error

    def release(self) -> None:
        """Let others write the run."""
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def locked(folder: Path, shown: Path) -> Iterator[None]:
    """Hold the lock of a folder for a while.

    Raises:
        RunFolderError: another process holds it.
    """
    lock = RunLock(folder, shown)
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process writes the run, as far as can be told without touching the lock.

    Trying the lock would hold it for a moment, and a training that begins just then would
    be refused. The process that took it last is asked for instead.
    """
    try:
        taken = os.stat(folder / LOCK, follow_symlinks=False).st_mtime
        writer = int(read_regular(folder / LOCK, _MAX_BYTES))
    except (OSError, ValueError, FrankError):
        return False
    try:
        os.kill(writer, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    # A process that began later has got the number of one that is gone.
    began = _began(writer)
    return began is None or began <= taken + _CLOCK_SECONDS


def _began(process: int) -> float | None:
    """When a process began, in seconds since 1970; none where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        system = Path("/proc/stat").read_text("ascii")
        (booted,) = re.findall(r"^btime (\d+)$", system, re.MULTILINE)
        return int(booted) + int(fields[_START_TICKS]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
