"""The status of a run: running, finished, stopped or broken off."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.runs.disk import read_regular
from frankrl.runs.folder import REPORT
from frankrl.runs.lock import LOCK, is_held

STATES = ("not started", "running", "finished", "stopped", "broken off")
_MAX_REPORT_BYTES = 1 << 22


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
    report = _report(run)
    if is_held(run) and not (report and _is_newer(run / REPORT, run / LOCK)):
        return RunStatus("running", None, None, 0.0, None)
    if report is None:
        started = (run / LOCK).exists()
        return RunStatus("broken off" if started else "not started", None, None, 0.0, None)
    solved, evaluation = report.get("solved"), report.get("evaluation")
    return RunStatus(
        "stopped" if report.get("stopped") else "finished",
        int(solved["env_steps"]) if isinstance(solved, dict) else None,
        float(evaluation["mean_return"]) if isinstance(evaluation, dict) else None,
        _spread(evaluation) if isinstance(evaluation, dict) else 0.0,
        int(report["env_steps"]),
    )


def _spread(evaluation: dict[str, Any]) -> float:
    low, high = evaluation.get("interval_95") or (0.0, 0.0)
    return (float(high) - float(low)) / 2


def _report(run: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FrankError, ValueError, RecursionError):
        report = json.loads(read_regular(run / REPORT, _MAX_REPORT_BYTES))
        if isinstance(report, dict):
            return report
    return None


def _is_newer(file: Path, other: Path) -> bool:
    """Whether a file was written after another one."""
    return os.stat(file).st_mtime_ns >= os.stat(other).st_mtime_ns
