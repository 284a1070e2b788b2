"""Whether another process of this machine lives, and since when.

Linux says so in `/proc`. Other systems are asked through psutil; there `os.kill(process, 0)` would
be no question on Windows: it ends the process.
"""

import contextlib
import os
import re
import sys
from pathlib import Path

_STATE, _START_TICKS = 0, 19
"""Indices in `/proc/PID/stat`, counted after the process name."""
_ENDED = (b"Z", b"X")
"""States of a process that has ended, and for whose status its parent has not asked yet."""
_TICKS = 100
"""Clock ticks in a second where the system has none. [1/s]"""


def is_alive(process: int) -> bool:
    """Whether a process of this number lives."""
    if not _has_proc():
        found = _asked(process)
        return found is not None and found[1]
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    fields = _fields(process)
    return not fields or fields[_STATE] not in _ENDED


def start_ticks(process: int) -> int | None:
    """When a process started, in clock ticks since the system did, or another fixed moment; None:
    this system does not say.

    With its number it names one process: numbers are used again, and not at the same time.
    """
    if not _has_proc():
        found = _asked(process)
        return None if found is None else round(found[0] * _TICKS)
    try:
        return int(_fields(process)[_START_TICKS])
    except (ValueError, IndexError):
        return None


def began(process: int) -> float | None:
    """Start time of a process, in seconds since 1970; None if the system does not provide it."""
    if not _has_proc():
        found = _asked(process)
        return None if found is None else found[0]
    ticks = start_ticks(process)
    if ticks is None:
        return None
    try:
        system = Path("/proc/stat").read_text("ascii")
        (booted,) = re.findall(r"^btime (\d+)$", system, re.MULTILINE)
        return int(booted) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _has_proc() -> bool:
    return sys.platform == "linux"


def _asked(process: int) -> tuple[float, bool] | None:
    """Start time of a process, in seconds since 1970, and whether it lives; None: there is none."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess, ValueError, OverflowError):
        found = psutil.Process(process)
        with contextlib.suppress(psutil.AccessDenied):
            return found.create_time(), found.status() != psutil.STATUS_ZOMBIE
        return 0.0, True
    return None


def _fields(process: int) -> list[bytes]:
    """What `/proc` says of a process, after its name; empty where it says nothing."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
