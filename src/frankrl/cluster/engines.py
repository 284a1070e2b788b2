"""The engine that a command asks for."""

from collections.abc import Callable
from pathlib import Path

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import SettingError
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.jobs import Engine
from frankrl.jobs.local import LocalEngine
from frankrl.jobs.printed import PrintEngine


def engine_for(
    processes: int,
    folder: Path,
    *,
    ray: str = "",
    prunes: bool = False,
    print_command: Callable[[str], None] | None = None,
) -> Engine:
    """The engine that does jobs; one on a cluster is connected until it is closed.

    Args:
        processes: number of jobs at once; 0: one per processor core, or per CPU of the cluster.
        folder: where it keeps what it needs: `jobs/` for the files of jobs whose commands are
            printed, `published/` for runs on a cluster.
        ray: address of a Ray cluster that does the jobs; empty: none.
        prunes: whether jobs have a rule by which their runs are pruned.
        print_command: prints a command; None: the jobs are done.

    Raises:
        FrankError: there is no such cluster, or both it and commands are wanted.
    """
    check_engine(ray, printed=print_command is not None)
    if print_command is not None:
        return PrintEngine(folder / "jobs", print_command)
    if ray:
        from frankrl.cluster.ray_engine import RayEngine

        return RayEngine(ray, folder / "published", processes, prunes=prunes)
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


def check_engine(ray: str, *, printed: bool) -> None:
    """Refuse two engines at once.

    Raises:
        SettingError: a cluster and printed commands are wanted.
    """
    if ray and printed:
        raise SettingError(
            f"{option('ray')} trains on a cluster and {option('print')} only prints commands: give "
            "one of them"
        )
