"""How a run stands: running, finished, solved, stopped."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import FrankError
from frankrl.runs.disk import read_regular
from frankrl.runs.folder import REPORT
from frankrl.runs.lock import LOCK, is_held

_MAX_REPORT_BYTES = 1 << 22


class RunStatus(NamedTuple):
    """How a run stands."""

    state: str
    """One of `running`, `finished`, `stopped`, `broken off`."""
    solved_at: int | None
    """Where it was first proved solved. [env steps]"""
    final_return: float | None
    """Mean return of the final evaluation."""
    env_steps: int | None
    """Where it ended by its report; metrics beyond that come from a training that went on."""


def status_of(run: Path) -> RunStatus:
    """How a run stands, by its lock and its report; nothing is locked to find out."""
    report = _report(run)
    if is_held(run) and not (report and _is_newer(run / REPORT, run / LOCK)):
        return RunStatus("running", None, None, None)
    if report is None:
        begun = (run / LOCK).exists()
        return RunStatus("broken off" if begun else "not begun", None, None, None)
    solved, evaluation = report.get("solved"), report.get("evaluation")
    return RunStatus(
        "stopped" if report.get("stopped") else "finished",
        int(solved["env_steps"]) if isinstance(solved, dict) else None,
        float(evaluation["mean_return"]) if isinstance(evaluation, dict) else None,
        int(report["env_steps"]),
    )


def _report(run: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FrankError, ValueError, RecursionError):
        report = json.loads(read_regular(run / REPORT, _MAX_REPORT_BYTES))
        if isinstance(report, dict):
            return report
    return None


def _is_newer(file: Path, other: Path) -> bool:
    """Whether a file was written after another: a report after the lock was taken."""
    return os.stat(file).st_mtime_ns >= os.stat(other).st_mtime_ns
