"""A disk that fails, or a signal, at one exact write; a disk without locks: preloaded shims."""

import os
import subprocess
from pathlib import Path


def compiled(work: Path, name: str = "faulty_disk") -> Path:
    """A shim, compiled: `faulty_disk` or `shared_disk`."""
    work.mkdir(parents=True, exist_ok=True)
    library = work / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


def failing(library: Path, folder: Path, at: int, error: int, log: Path) -> dict[str, str]:
    """Environment variables with which one call fails.

    Args:
        library: the shim.
        folder: only writes below it count.
        at: which of them, from 1; 0: none.
        error: its error number; below 0: it succeeds, and the process gets this signal instead.
        log: where the number of calls is written at the end.
    """
    return {
        "LD_PRELOAD": str(library),
        "FRANK_FAULT_FOLDER": f"{folder.resolve()}{os.sep}",
        "FRANK_FAULT_AT": str(at),
        "FRANK_FAULT_ERRNO": str(error),
        "FRANK_FAULT_LOG": str(log),
    }


def shared(library: Path, folder: Path) -> dict[str, str]:
    """Environment variables with which a folder has no locks, shared memory or hard links.

    Args:
        library: the shim.
        folder: the folder.
    """
    return {"LD_PRELOAD": str(library), "FRANK_SHARED_FOLDER": f"{folder.resolve()}{os.sep}"}


def counted(log: Path) -> tuple[int, str]:
    """How many calls there were, and the file of the chosen one; empty if it was not reached."""
    calls, failed, where = log.read_text("utf-8").split()[-3:]
    return int(calls), where if failed == "1" else ""
