"""The engine that a command asks for."""

from collections.abc import Callable
from pathlib import Path

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import SettingError
from frankrl.core.text import given
from frankrl.jobs import Engine
from frankrl.jobs.local import LocalEngine
from frankrl.jobs.printed import PrintEngine


def engine_for(
    processes: int, *, jobs: Path, print_command: Callable[[str], None] | None = None
) -> Engine:
    """The engine that does jobs.

    Args:
        processes: number of jobs at once; 0: one per processor core.
        jobs: folder for the files of jobs whose commands are printed.
        print_command: prints a command; None: the jobs are done.
    """
    if print_command is not None:
        return PrintEngine(jobs, print_command)
    return LocalEngine(processes or visible_cpus())


def check_processes(processes: int) -> None:
    """Check a number of processes.

    Raises:
        SettingError: it is not allowed.
    """
    if not isinstance(processes, int) or isinstance(processes, bool) or processes < 0:
        raise SettingError(
            f"processes must be a whole number of at least 0, got {given(processes)}; 0 means one "
            "per processor core"
        )
