"""A disk of which one write, flush, rename or link fails: nothing good lost, nothing silent."""

import errno
import random
import re
import shutil
from pathlib import Path
from typing import Any

from robustness.disk import compiled, counted, failing
from robustness.outcome import Outcome
from robustness.parallel import at_once
from robustness.runs import Case, contents, continued, train

_CASE = Case("CartPole-v1", 2, True, 0, total_env_steps=120)
_ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
_TOLD = re.compile(r"WARNING|frank: |could not be written")
_SAVED = re.compile(r"^  checkpoint (\S+)$", re.MULTILINE)


def study(work: Path, most: int | None = None) -> Outcome:
    """Let each write, fsync and rename of a run fail once, with each of three errors.

    Args:
        work: a folder for the runs.
        most: how many of these to try, chosen at random; none: all.
    """
    outcome = Outcome(
        "faults", "a write, fsync, rename or link failing once: told, no good checkpoint lost"
    )
    library = compiled(work)
    train(_CASE, work / "whole")
    whole = contents(work / "whole")
    log = work / "calls"
    train(_CASE, work / "counted" / "run", failing(library, work / "counted", 0, 0, log))
    calls, _ = counted(log)
    outcome.notes["calls of a run"] = calls
    every = [(at, error) for at in range(1, calls + 1) for error in _ERRORS]
    if most is not None:
        every = random.Random(0).sample(every, min(most, len(every)))
    at_once(lambda fault: _try(outcome, work, library, *fault, whole), every)
    return outcome


def _try(
    outcome: Outcome, work: Path, library: Path, at: int, error: int, whole: dict[str, Any]
) -> None:
    what = f"call {at} with {errno.errorcode[error]}"
    folder, log = work / f"faulty-{at}-{error}", work / f"calls-{at}-{error}"
    out = folder / "run"
    status, errors = train(_CASE, out, failing(library, folder, at, error, log))
    calls, where = counted(log)
    what += f" on {where}"
    if not where:
        outcome.note(False, f"{what}: the run made only {calls} calls")
        return
    outcome.count("ended with exit 0" if status == 0 else "ended with exit 2")
    told = bool(_TOLD.search(errors)) and "Traceback" not in errors
    if status == 0 and not told and where == out.name:
        # SQLite's own flush of the folder, silent when it fails; Frank repeats it at once.
        outcome.count("repeated at once")
        told = True
    if status == 0 and not told and where.startswith("link:"):
        # Of a file that cannot be linked, Frank makes a copy, as on a disk that knows no links.
        outcome.count("copied instead")
        told = True
    if status not in (0, 2) or not told:
        outcome.note(False, f"{what}: exit {status}: {errors[-400:]}")
        return
    saved = [Path(name) for name in _SAVED.findall(errors)]
    if saved and not saved[-1].is_dir():
        outcome.note(False, f"{what}: {saved[-1]} was saved and is gone")
        return
    if out.exists():
        status, errors = continued(_CASE, out)
        same = status == 0 and contents(out) == whole
        outcome.note(same, f"{what}: after a resume: {errors[-400:]}")
    else:
        outcome.note(True, "")
    shutil.rmtree(folder, ignore_errors=True)
