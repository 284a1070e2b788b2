"""The one table from the events and metrics of a training to the numbers that trackers get.

Names are Stable-Baselines3's where it has one. The x axis is env steps throughout.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from frankrl.runs import MetricsReader, RunFolder
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Evaluated, Event, Finished, Progress, Solved

OF_PROGRESS = {
    "rollout/ep_rew_mean": "mean_return",
    "rollout/ep_len_mean": "mean_length",
    "rollout/exploration_rate": "epsilon",
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/n_updates": "updates",
    "train/mean_q": "mean_q",
    "train/mean_max_q": "mean_max_q",
    "train/mean_target": "mean_target",
    "train/mean_abs_td_error": "mean_abs_td_error",
    "train/gradient_norm": "gradient_norm",
    "time/episodes": "episodes",
    "time/fps": "env_steps_per_second",
    "time/time_elapsed": "seconds",
}
"""Names, and the fields of `Progress` that they show."""
_COLUMNS = {"mean_return": "mean_return_100", "mean_length": "mean_length_100"}
"""Columns of the metrics that are not called like the field of `Progress`."""
OF_EVALUATIONS = {"progress": "eval", "solved": "eval_solved_check", "final": "eval_final"}
"""The group of an evaluation's names, by its purpose."""
SOLVED = "eval/solved"
"""1 at the env step at which the run solved its environment."""


def scalars(event: Event) -> dict[str, float]:
    """The numbers of an event by their names; empty if it has none."""
    if isinstance(event, Progress):
        values = {name: getattr(event, field) for name, field in OF_PROGRESS.items()}
        return {name: float(value) for name, value in values.items() if value is not None}
    if isinstance(event, Evaluated):
        return _of_evaluation(event.purpose, event.evaluation)
    if isinstance(event, Solved):
        return {SOLVED: 1.0}
    if isinstance(event, Finished) and event.evaluation is not None:
        return _of_evaluation("final", event.evaluation)
    return {}


def earlier_scalars(folder: RunFolder, env_steps: int) -> Iterator[tuple[int, dict[str, float]]]:
    """The same numbers of a run up to an env step, read from its metrics, in order of env steps.

    Raises:
        RunFolderError: the metrics cannot be read.
    """
    if not env_steps:
        return
    reader = MetricsReader(folder.metrics)
    try:
        until = f"env_steps <= {env_steps:d}"
        tables = [reader.columns(name, until) for name in ("training", "timing", "evaluations")]
    finally:
        reader.close()
    training, timing, evaluations = tables
    progress = training | {name: timing[name] for name in ("seconds", "env_steps_per_second")}
    rows = [_of_metrics(_row(progress, i)) for i in range(len(training["env_steps"]))]
    rows += [_of_played(_row(evaluations, i)) for i in range(len(evaluations["env_steps"]))]
    yield from sorted(rows, key=lambda row: row[0])


def _row(columns: dict[str, np.ndarray], index: int) -> dict[str, Any]:
    return {name: column[index] for name, column in columns.items()}


def _of_metrics(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    values = {name: row[_COLUMNS.get(field, field)] for name, field in OF_PROGRESS.items()}
    found = {name: float(value) for name, value in values.items() if value is not None}
    return int(row["env_steps"]), found


def _of_played(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    figures = (row["mean_return"], row["std_return"], row["mean_length"])
    return int(row["env_steps"]), _named(row["purpose"], *map(float, figures))


def _of_evaluation(purpose: str, evaluation: Evaluation) -> dict[str, float]:
    spread, length = np.std(evaluation.returns), np.mean(evaluation.lengths)
    return _named(purpose, evaluation.mean_return, float(spread), float(length))


def _named(purpose: str, mean: float, spread: float, length: float) -> dict[str, float]:
    group = OF_EVALUATIONS[purpose]
    names = ("mean_reward", "std_reward", "mean_ep_length")
    return {f"{group}/{name}": v for name, v in zip(names, (mean, spread, length), strict=True)}
