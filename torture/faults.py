"""A disk of which one write, flush or rename fails: nothing good lost, nothing silent."""

import errno
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from frankrl.runs import list_checkpoints
from torture.crew import at_once
from torture.outcome import Outcome
from torture.runs import Case, contents, continued, train

_CASE = Case("CartPole-v1", 2, True, 0, total_env_steps=160)
_ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
_TOLD = re.compile(r"WARNING|frank: |could not be written")


def study(work: Path, most: int | None = None) -> Outcome:
    """Let each write, fsync and rename of a run fail once, with each of three errors.

    Args:
        work: a folder for the runs.
        most: how many of these to try, chosen at random; none: all.
    """
    outcome = Outcome(
        "faults", "a write, fsync or rename failing once: told, no good checkpoint lost"
    )
    library = _library(work)
    train(_CASE, work / "whole")
    whole = contents(work / "whole")
    counted, _ = _run(work, library, 0, 0)
    outcome.notes["calls of a run"] = counted.calls
    every = [(at, error) for at in range(1, counted.calls + 1) for error in _ERRORS]
    if most is not None:
        every = random.Random(0).sample(every, min(most, len(every)))
    at_once(lambda fault: _try(outcome, work, library, *fault, whole), every)
    return outcome


def _try(
    outcome: Outcome, work: Path, library: Path, at: int, error: int, whole: dict[str, Any]
) -> None:
    what = f"call {at} with {errno.errorcode[error]}"
    found, errors = _run(work, library, at, error)
    out = found.out
    if not found.failed:
        outcome.note(False, f"{what}: the run made only {found.calls} calls")
        return
    outcome.count("ended with exit 0" if found.status == 0 else "ended with exit 2")
    told = bool(_TOLD.search(errors)) and "Traceback" not in errors
    if found.status not in (0, 2) or not told:
        outcome.note(False, f"{what}: exit {found.status}: {errors[-400:]}")
        return
    if out.exists():
        kept = len(list_checkpoints(out / "checkpoints"))
        status, errors = continued(_CASE, out)
        same = status == 0 and contents(out) == whole
        outcome.note(same, f"{what}: after a resume from {kept} checkpoints: {errors[-400:]}")
        shutil.rmtree(out)
    else:
        outcome.note(True, "")


class _Ran:
    def __init__(self, out: Path, status: int, log: Path) -> None:
        self.out, self.status = out, status
        calls, failed = log.read_text("ascii").split()[-2:]
        self.calls, self.failed = int(calls), failed == "1"


def _run(work: Path, library: Path, at: int, error: int) -> tuple[_Ran, str]:
    folder = work / f"faulty-{at}-{error}"
    out, log = folder / "run", work / f"calls-{at}-{error}"
    status, errors = train(
        _CASE,
        out,
        LD_PRELOAD=str(library),
        FRANK_FAULT_FOLDER=f"{folder.resolve()}{os.sep}",
        FRANK_FAULT_AT=str(at),
        FRANK_FAULT_ERRNO=str(error),
        FRANK_FAULT_LOG=str(log),
    )
    return _Ran(out, status, log), errors


def _library(work: Path) -> Path:
    """The shim, compiled."""
    library = work / "faulty_disk.so"
    source = Path(__file__).with_name("faulty_disk.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
