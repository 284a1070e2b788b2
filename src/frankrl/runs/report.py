"""What a run's report says, which may come from anyone."""

import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.core.errors import FrankError
from frankrl.runs.disk import read_regular
from frankrl.runs.layout import REPORT

PRUNED = "pruned by "
"""How the reason of a run begins that a sweep's rule has ended."""
_MAX_BYTES = 1 << 24
_MAX_COUNT = 2**53


@dataclass(frozen=True)
class Report:
    """The outcome of a run that has ended; it may go on if it was stopped."""

    env_steps: int
    seconds: float | None
    """How long it took; None: not said. [s]"""
    stopped: bool
    """Whether it ended before its end."""
    stop_reason: str | None
    """Why the run ended itself before its end; None if it did not."""
    solved_env_steps: int | None
    """Env step of the first passed solved check; None without one."""
    solved_seconds: float | None
    """When that was, from the beginning. [s]"""
    final_return: float | None
    """Mean return of the final evaluation; None without one."""
    final_spread: float
    """Half the width of its 95 % interval; 0: not known."""
    plain: dict[str, Any]
    """All of it, as JSON data that nobody has checked."""

    @property
    def is_pruned(self) -> bool:
        """Whether a sweep's rule has ended the run, because it was worse than others."""
        return self.stopped and (self.stop_reason or "").startswith(PRUNED)


def read_report(run: Path) -> Report | None:
    """The report of a run; None if it has none that can be read.

    Args:
        run: the run folder.
    """
    plain: Any = None
    with contextlib.suppress(FrankError, ValueError, RecursionError):
        plain = json.loads(read_regular(run / REPORT, _MAX_BYTES))
    env_steps = _count(plain.get("env_steps")) if isinstance(plain, dict) else None
    if env_steps is None:
        return None
    solved, evaluation = _table(plain.get("solved")), _table(plain.get("evaluation"))
    reason = plain.get("stop_reason")
    return Report(
        env_steps,
        _real(plain.get("seconds")),
        bool(plain.get("stopped")),
        reason if isinstance(reason, str) and reason else None,
        _count(solved.get("env_steps")),
        _real(solved.get("seconds")),
        _real(evaluation.get("mean_return")),
        _spread(evaluation.get("interval_95")),
        plain,
    )


def _spread(interval: Any) -> float:
    if not isinstance(interval, list) or len(interval) != 2:
        return 0.0
    low, high = map(_real, interval)
    return 0.0 if low is None or high is None else (high - low) / 2


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _real(value: Any) -> float | None:
    """A finite number; None if it is none."""
    with contextlib.suppress(OverflowError):
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    return None
