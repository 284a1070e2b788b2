"""What a run has given, as its folder tells."""

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import RunFolderError
from frankrl.runs import MetricsReader, read_regular
from frankrl.runs.folder import METRICS, REPORT

_MAX_REPORT_BYTES = 1 << 24


class Outcome(NamedTuple):
    """What a run that is over has given."""

    final_return: float | None
    """Mean return of the final evaluation; None without one."""
    evaluations: tuple[tuple[int, float], ...]
    """Env steps and mean return of each evaluation during the training."""
    env_steps: int
    solved_env_steps: int | None
    solved_seconds: float | None
    """When the run was solved; None if it was not."""
    seconds: float
    stop_reason: str | None
    """Why the run ended itself before its end; None if it did not."""


def is_done(run: Path) -> bool:
    """Whether a run is over and need not go on."""
    return _report(run) is not None


def outcome_of(run: Path) -> Outcome | None:
    """What a run has given; None if it is not over.

    Raises:
        RunFolderError: its metrics cannot be read.
    """
    report = _report(run)
    if report is None:
        return None
    evaluation, solved = report.get("evaluation") or {}, report.get("solved") or {}
    return Outcome(
        evaluation.get("mean_return"),
        evaluations_of(run),
        report["env_steps"],
        solved.get("env_steps"),
        solved.get("seconds"),
        report["seconds"],
        report.get("stop_reason"),
    )


def evaluations_of(run: Path) -> tuple[tuple[int, float], ...]:
    """Env steps and mean return of each evaluation during the training so far.

    Raises:
        RunFolderError: its metrics cannot be read.
    """
    reader = MetricsReader(run / METRICS)
    try:
        rows = reader.columns("evaluations", "purpose = 'progress'")
    finally:
        reader.close()
    steps = (int(value) for value in rows["env_steps"])
    means = (float(value) for value in rows["mean_return"])
    return tuple(zip(steps, means, strict=True))


def _report(run: Path) -> dict[str, Any] | None:
    """The report of a run that is over: at its end, or ended by a rule of its own."""
    with contextlib.suppress(RunFolderError, ValueError, RecursionError):
        report = json.loads(read_regular(run / REPORT, _MAX_REPORT_BYTES))
        if isinstance(report, dict) and (not report["stopped"] or report["stop_reason"]):
            return report
    return None
