"""The engine that a command asks for."""

import os
from collections.abc import Callable
from pathlib import Path

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import SettingError, check_type
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
    publish: str | os.PathLike[str] = "",
    prunes: bool = False,
    print_command: Callable[[str], None] | None = None,
) -> Engine:
    """The engine that does jobs; one on a cluster is connected until it is closed.

    Args:
        processes: number of jobs at once; 0: one per processor core, or per CPU of the cluster.
        folder: where it keeps what it needs: `jobs/` for the files of jobs whose commands are
            printed, `published/` for runs on a cluster that are published nowhere else.
        ray: address of a Ray cluster that does the jobs; empty: none.
        publish: shared storage for the runs on a cluster while they go on, a folder or an address
            that fsspec opens; empty: in the folder.
        prunes: whether jobs have a rule by which their runs are pruned.
        print_command: prints a command; None: the jobs are done.

    Raises:
        FrankError: there is no such cluster, or both it and commands are wanted.
    """
    check_engine(ray, publish, printed=print_command is not None)
    if print_command is not None:
        return PrintEngine(folder / "jobs", print_command)
    if ray:
        from frankrl.cluster.ray_engine import RayEngine

        return RayEngine(ray, publish or folder / "published", processes, prunes=prunes)
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


def check_engine(ray: str, publish: str | os.PathLike[str] = "", *, printed: bool) -> None:
    """Refuse two engines at once, and storage that none of them uses.

    Raises:
        SettingError: a cluster and printed commands are wanted, or storage and no cluster; or one
            is no text.
    """
    check_type(ray, option("ray"), str, "the address of a cluster, HOST:PORT or auto")
    check_type(publish, option("publish"), str | os.PathLike, "a folder or an address")
    if publish and not ray:
        raise SettingError(
            f"{option('publish')} names the storage of several runs on a cluster: give "
            f"{option('ray')}, too"
        )
    if ray and printed:
        raise SettingError(
            f"{option('ray')} trains on a cluster and {option('print')} only prints commands: give "
            "one of them"
        )
