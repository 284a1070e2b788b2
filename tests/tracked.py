"""What a tracker holds of a run, beside what the run's own metrics say."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from frankrl.runs import MetricsReader
from frankrl.training.scalars import OF_PROGRESS

Held = dict[tuple[int, str], float]
"""(env step, name) → value."""
CLOCK = ("time/fps", "time/time_elapsed")
"""Names whose values the clock decides."""
_GROUPS = {"progress": "eval", "final": "eval_final", "solved": "eval_solved_check"}
_COLUMNS = {"mean_return": "mean_return_100", "mean_length": "mean_length_100"}


def held(rows: Iterable[tuple[int, Mapping[str, float]]]) -> Held:
    """Rows as a tracker returns them, in which no env step is there twice."""
    found: Held = {}
    for env_steps, values in rows:
        for name, value in values.items():
            assert (env_steps, name) not in found, f"{name} is there twice at {env_steps}"
            found[env_steps, name] = value
    return found


def without_clock(found: Held) -> Held:
    """What the clock does not decide."""
    return {key: value for key, value in found.items() if key[1] not in CLOCK}


def of_metrics(run: Path) -> Held:
    """What a tracker is to hold by the run's own metrics, but for what the clock decides."""
    reader = MetricsReader(run / "metrics.sqlite")
    found: Held = {}
    training = reader.columns("training")
    for name, field in OF_PROGRESS.items():
        column = training.get(_COLUMNS.get(field, field), ())
        for env_steps, value in zip(training["env_steps"], column, strict=False):
            if value is not None:
                found[int(env_steps), name] = float(value)
    evaluations = reader.columns("evaluations")
    for row in zip(*evaluations.values(), strict=True):
        told = dict(zip(evaluations, row, strict=True))
        group, env_steps = _GROUPS[told["purpose"]], int(told["env_steps"])
        found[env_steps, f"{group}/mean_reward"] = float(told["mean_return"])
        found[env_steps, f"{group}/std_reward"] = float(told["std_return"])
        found[env_steps, f"{group}/mean_ep_length"] = float(told["mean_length"])
    reader.close()
    return found
