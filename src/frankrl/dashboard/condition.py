"""How a run stands: running, finished, solved, stopped."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.errors import FrankError
from frankrl.runs.disk import read_regular
from frankrl.runs.folder import REPORT
from frankrl.runs.lock import LOCK, is_held

_MOST_REPORT_BYTES = 1 << 22


class Condition(NamedTuple):
    """How a run stands."""

    state: str
    """One of `running`, `finished`, `stopped`, `broken off`."""
    solved_at: int | None
    """Where it was first proved solved. [env steps]"""
    final_return: float | None
    """Mean return of the final evaluation."""


def condition_of(run: Path) -> Condition:
    """How a run stands, by its lock and its report; nothing is locked to find out."""
    report = _report(run)
    if report is None and is_held(run):
        return Condition("running", None, None)
    if report is None:
        return Condition("broken off" if (run / LOCK).exists() else "not begun", None, None)
    solved, evaluation = report.get("solved"), report.get("evaluation")
    return Condition(
        "stopped" if report.get("stopped") else "finished",
        int(solved["env_steps"]) if isinstance(solved, dict) else None,
        float(evaluation["mean_return"]) if isinstance(evaluation, dict) else None,
    )


def _report(run: Path) -> dict[str, Any] | None:
    """The run's report; one from before the training that came last does not count."""
    path = run / REPORT
    with contextlib.suppress(OSError):
        if os.stat(path).st_mtime_ns < os.stat(run / LOCK).st_mtime_ns:
            return None
    with contextlib.suppress(FrankError, ValueError, RecursionError):
        report = json.loads(read_regular(path, _MOST_REPORT_BYTES))
        if isinstance(report, dict):
            return report
    return None
