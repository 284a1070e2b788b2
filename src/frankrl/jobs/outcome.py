"""What a run has given, by its folder."""

import math
from pathlib import Path
from typing import NamedTuple

from frankrl.config import Settings
from frankrl.core.errors import DamagedError
from frankrl.runs import MetricsReader
from frankrl.runs.layout import METRICS
from frankrl.runs.report import Report, read_report


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
    seconds: float | None
    """How long it took; None: its report does not say."""
    stop_reason: str | None
    """Why the run ended itself before its end; None if it did not."""


def is_done(run: Path, settings: Settings | None = None) -> bool:
    """Whether a run is over and need not go on.

    Args:
        run: its folder.
        settings: those with which it is to be over, since its report may be of a smaller budget;
            None: those of its report.
    """
    report = _report_if_over(run)
    if report is None or settings is None or report.env_steps >= settings.budget:
        return report is not None
    is_solved = report.solved_env_steps is not None and settings.evaluation.until_solved
    return is_solved or report.stop_reason is not None


def outcome_of(run: Path) -> Outcome | None:
    """What a run has given; None if it is not over.

    Raises:
        RunFolderError: its metrics cannot be read.
    """
    report = _report_if_over(run)
    if report is None:
        return None
    return Outcome(
        report.final_return,
        evaluations_of(run),
        report.env_steps,
        report.solved_env_steps,
        report.solved_seconds,
        report.seconds,
        report.stop_reason,
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
    means = [float(value) for value in rows["mean_return"]]
    if not all(map(math.isfinite, means)):
        raise DamagedError(f"{run / METRICS} is damaged: the mean return of an evaluation is none")
    return tuple(zip(steps, means, strict=True))


def _report_if_over(run: Path) -> Report | None:
    """The report of a run that is over: at its end, or ended by a rule of its own."""
    report = read_report(run)
    if report is None or (report.stopped and report.stop_reason is None):
        return None
    return report
