"""Whether another process of this machine lives."""

import os
from pathlib import Path

_STATE, _START_TICKS = 0, 19
"""Indices in `/proc/PID/stat`, counted after the process name."""
_ENDED = (b"Z", b"X")
"""States of a process that has ended, and for whose status its parent has not asked yet."""


def is_alive(process: int) -> bool:
    """Whether a process of this number lives."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    fields = _fields(process)
    return not fields or fields[_STATE] not in _ENDED


def start_ticks(process: int) -> int | None:
    """When a process started, in clock ticks since the system did; None: this system does not say.

    With its number it names one process: numbers are used again, and not at the same time.
    """
    try:
        return int(_fields(process)[_START_TICKS])
    except (ValueError, IndexError):
        return None


def _fields(process: int) -> list[bytes]:
    """What `/proc` says of a process, after its name; empty where there is no `/proc`."""
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
