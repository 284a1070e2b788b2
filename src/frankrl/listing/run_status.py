"""The status of a run: running, finished, stopped, pruned or broken off."""

import os
from pathlib import Path
from typing import NamedTuple

from frankrl.runs.layout import REPORT
from frankrl.runs.lock import LOCK, is_held
from frankrl.runs.report import read_report

STATES = ("not started", "running", "finished", "stopped", "pruned", "broken off")


class RunStatus(NamedTuple):
    """The status of a run."""

    state: str
    """One of `STATES`."""
    solved_at: int | None
    """Env step of the first passed solved check."""
    final_return: float | None
    """Mean return of the final evaluation."""
    final_spread: float
    """How far it is from certain: half the width of its 95 % interval; 0: not known."""
    env_steps: int | None
    """Env step of the report; later metrics mean that the run was continued."""


def status_of(run: Path) -> RunStatus:
    """The status of a run by its lock file and its report; takes no lock."""
    report = read_report(run)
    if is_held(run) and not (report and _is_newer(run / REPORT, run / LOCK)):
        return RunStatus("running", None, None, 0.0, None)
    if report is None:
        started = (run / LOCK).exists()
        return RunStatus("broken off" if started else "not started", None, None, 0.0, None)
    return RunStatus(
        "pruned" if report.is_pruned else "stopped" if report.stopped else "finished",
        report.solved_env_steps,
        report.final_return,
        report.final_spread,
        report.env_steps,
    )


def _is_newer(file: Path, other: Path) -> bool:
    """Whether a file was written after another one."""
    return os.stat(file).st_mtime_ns >= os.stat(other).st_mtime_ns
