"""What differs between operating systems; everything else is written for all of them.

Frank is tested on Linux. The branches for Windows and macOS are tested by simulation there.
"""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

IS_WINDOWS = sys.platform == "win32"
STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""The signals that ask a process to end; on Windows SIGBREAK (Ctrl-Break), and no SIGHUP."""
_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, and nobody else can then read them; this one lies behind every lock file."""
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_RENAMING_SECONDS, _PAUSE_SECONDS = 5.0, 0.05
"""How long a file or folder that another program has open on Windows is tried to be renamed."""
_CONTAINER, _NO_LIMIT = Path("/sys/fs/cgroup"), 2**63
"""Where Linux says what a container may take, and what stands for no limit. [bytes]"""


def lock_is_held(error: OSError) -> bool:
    """Whether `lock_file` has failed because another process holds the lock; any other error means
    that the file system has no locks."""
    return error.errno in _HELD


def lock_file(descriptor: int) -> None:
    """Lock an open file for this process alone, until it is closed.

    Raises:
        OSError: another process holds the lock, or the file system has none.
    """
    if not IS_WINDOWS:
        assert fcntl is not None
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def open_no_link(path: Path, flags: int) -> int:
    """Open a file that is no link, without waiting for whoever is at the other end of a pipe.

    Windows can follow no link only by asking first whether there is one.

    Args:
        path: the file.
        flags: as for `os.open`.

    Returns:
        Its descriptor.

    Raises:
        OSError: it is a link (`ELOOP`), or cannot be opened.
    """
    if IS_WINDOWS and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    no_link = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | no_link, 0o666)


def flush(path: Path) -> None:
    """Return once a file, or the names of a folder's entries, are on the disk.

    Windows cannot be asked for names; its file system writes them to a journal of its own. A file
    it flushes only where it may be written.
    """
    if IS_WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if IS_WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name; a file there is replaced.

    On Windows another program that has it open for a moment, such as a virus scanner, would make it
    fail, so it is tried again for some seconds.
    """
    until = time.monotonic() + _RENAMING_SECONDS
    while True:
        try:
            os.replace(source, target)
        except PermissionError:
            if not IS_WINDOWS or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def flush_c() -> None:
    """Write what libraries in C have in buffers of their own."""
    with contextlib.suppress(OSError, AttributeError):
        (ctypes.CDLL("ucrtbase") if IS_WINDOWS else ctypes.CDLL(None)).fflush(None)


def lower_priority(niceness: int, *, never_preempts: bool = False) -> None:
    """Let this process yield the processors to others.

    Args:
        niceness: by how much; Windows knows one lower class.
        never_preempts: whether it also waits until a processor is free; Linux alone knows that.
    """
    with contextlib.suppress(OSError):
        if IS_WINDOWS:
            import psutil

            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            os.nice(niceness)
    if never_preempts and hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Within the block, a process that is started hears no Ctrl-C until it calls `lead_a_group`.

    While Python imports, Ctrl-C would end it with a traceback. This process hears it afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lead_a_group() -> None:
    """Let signals of the terminal not reach this process, nor one that was held back."""
    if hasattr(os, "setsid"):
        os.setsid()
    if hasattr(signal, "pthread_sigmask"):
        # One that is ignored is forgotten.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, handler)


def kill_group(leader: int) -> None:
    """End a process that was started `apart` at once, and all that it has started."""
    with contextlib.suppress(OSError):
        if not IS_WINDOWS:
            os.killpg(leader, signal.SIGKILL)
            return
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            one = psutil.Process(leader)
            for process in (*one.children(recursive=True), one):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def apart() -> dict[str, Any]:
    """Arguments for `subprocess.Popen` with which Ctrl-C does not reach the new process."""
    if IS_WINDOWS:
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # pyright: ignore[reportAttributeAccessIssue]
    return {"start_new_session": True}


def start_with_pipe(
    command: Sequence[str], variables: Mapping[str, str]
) -> tuple["Connection", "subprocess.Popen[Any]"]:
    """Start a process that reads the number of its end of a pipe as its last argument.

    Args:
        command: its command line, without that number.
        variables: its environment.

    Returns:
        This end of the pipe, and the process. It is `apart`; it ends with its connection.

    Raises:
        OSError: no process can be started.
    """
    # Not at the top, since every command imports this module and few start processes.
    from multiprocessing import Pipe

    ours, theirs = Pipe()
    number = theirs.fileno()
    inherited: dict[str, Any] = {"pass_fds": (number,)}
    if IS_WINDOWS:
        os.set_handle_inheritable(number, True)  # pyright: ignore[reportAttributeAccessIssue]
        inherited = {
            "startupinfo": subprocess.STARTUPINFO(  # pyright: ignore[reportAttributeAccessIssue]
                lpAttributeList={"handle_list": [number]}
            )
        }
    try:
        with theirs:
            process = subprocess.Popen(
                [*command, str(number)],
                stdin=subprocess.DEVNULL,
                env=variables,
                **inherited,
                **apart(),
            )
    except OSError:
        ours.close()
        raise
    return ours, process


def given_pipe(number: str) -> "Connection":
    """In a process that `start_with_pipe` has started: its end of the pipe."""
    from multiprocessing import connection as connections

    kind: Callable[[int], Any] = connections.Connection
    if IS_WINDOWS:
        kind = connections.PipeConnection  # pyright: ignore[reportAttributeAccessIssue]
    return kind(int(number))


def user_folder(variable: str, *default: str) -> Path:
    """A folder of this user's: the one that a variable names, or the usual one.

    Args:
        variable: such as `XDG_STATE_HOME`.
        default: the usual one's path in the user's home; on Windows it lies in `LOCALAPPDATA`.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if named := os.environ.get(variable):
        return Path(named)
    if IS_WINDOWS and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home().joinpath(*default)


def is_private(status: os.stat_result) -> bool:
    """Whether an open file belongs to this user alone. On Windows the folder of the user's own
    settings is kept from others by the system, and files have no such mode."""
    if IS_WINDOWS:
        return True
    return not status.st_mode & 0o077 and status.st_uid == os.getuid()


def available_memory() -> int | None:
    """Memory available without swapping, if the system provides it. [bytes]"""
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _container_memory())
    except OSError:
        pass
    with contextlib.suppress(ImportError):
        import psutil

        return psutil.virtual_memory().available
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def total_memory() -> int | None:
    """All memory of this machine, or of its container, if the system provides it. [bytes]"""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), _container_limit())
    with contextlib.suppress(ImportError):
        import psutil

        return psutil.virtual_memory().total
    return None


def _container_memory() -> int:
    """Memory left in the container of this process; a very large number outside a container."""
    try:
        return _container_limit() - int((_CONTAINER / "memory.current").read_text("ascii"))
    except (OSError, ValueError):
        return _NO_LIMIT


def _container_limit() -> int:
    try:
        return int((_CONTAINER / "memory.max").read_text("ascii"))
    except (OSError, ValueError):
        return _NO_LIMIT
