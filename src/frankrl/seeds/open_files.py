"""Files that the runs of a program hold open at the same time."""

import contextlib

try:
    import resource
except ImportError:  # Windows, whose limit is in the thousands
    resource = None

from frankrl.core.errors import MachineError

_OF_A_RUN = 4
"""The lock of a run, and its metrics with their log and its index."""
_OTHERS = 128
"""Files of the process itself: libraries, the device, pipes."""


def allow_open_files(num_runs: int) -> None:
    """Let this process open as many files as several runs need.

    Args:
        num_runs: runs that are written at the same time.

    Raises:
        MachineError: the system does not allow as many.
    """
    if resource is None:
        return
    needed = _OTHERS + _OF_A_RUN * num_runs
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(allowed, needed):
        return
    may_open = most
    if _is_enough(most, needed):
        # A system may have another limit, which it does not name.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
            return
        may_open = allowed
    fit = max(0, may_open - _OTHERS) // _OF_A_RUN
    raise MachineError(
        f"{num_runs:,} seeds in one program hold {needed:,} files open, and this process may open "
        f"{may_open:,}: raise that with `ulimit -n {needed}`, or train {fit:,} seeds at a time"
    )


def _is_enough(limit: int, needed: int) -> bool:
    assert resource is not None
    return limit == resource.RLIM_INFINITY or limit >= needed
