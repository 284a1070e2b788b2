"""When this process began."""

import os
import time
from pathlib import Path


def process_started() -> float:
    """`time.perf_counter()` as it would have read when the process was started.

    Where the system does not tell, now: everything after the first import is counted.
    """
    try:
        after_name = Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
        running = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.perf_counter()
    return time.perf_counter() - running
