"""The one table from the events and metrics of a training to the numbers that trackers get.

Names are Stable-Baselines3's where it has one. The x axis is env steps throughout.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from frankrl.environments import SUCCESS
from frankrl.runs import MetricsReader, RunFolder
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Evaluated, Event, Finished, Progress, Solved
from frankrl.training.journal import RECENT_EPISODES

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
EVALUATED = ("mean_reward", "std_reward", "mean_ep_length", "success_rate")
"""Names of an evaluation's figures within its group."""
SUCCESSES = "rollout/success_rate"
"""Share of the last 100 training episodes that ended in success."""
OWN = "own"
"""The group of the names of the user's own numbers."""
SOLVED = "eval/solved"
"""1 at the env step at which the run solved its environment."""


def scalars(event: Event) -> dict[str, float]:
    """The numbers of an event by their names; empty if it has none."""
    if isinstance(event, Progress):
        values = {name: getattr(event, field) for name, field in OF_PROGRESS.items()}
        return _known(values | {SUCCESSES: event.success_rate})
    if isinstance(event, Evaluated):
        return _of_evaluation(event.purpose, event.evaluation)
    if isinstance(event, Solved):
        return {SOLVED: 1.0}
    if isinstance(event, Finished) and event.evaluation is not None:
        return _of_evaluation("final", event.evaluation)
    return {}


def own_scalars(values: Mapping[str, float]) -> dict[str, float]:
    """Numbers of the user's own by their names; successes are told as a share (`SUCCESSES`)."""
    return {f"{OWN}/{name}": value for name, value in values.items() if name != SUCCESS}


class OwnNumbers:
    """Passes on numbers of the user's own once their env step is over.

    A second value of a name at the same env step replaces the first, as in the metrics.
    """

    def __init__(self, log: Callable[[int, Mapping[str, float]], None]) -> None:
        """Take the function that gets env steps of the run and numbers by their names."""
        self._log = log
        self._env_steps = 0
        self._values: dict[str, float] = {}

    def take(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Take numbers of an env step that is not before the last one."""
        if env_steps != self._env_steps:
            self.flush()
        self._env_steps = env_steps
        self._values |= own_scalars(values)

    def flush(self) -> None:
        """Pass on what has not been passed on."""
        if self._values:
            self._log(self._env_steps, self._values)
        self._values = {}


def earlier_scalars(
    folder: RunFolder, env_steps: int, solved: Solved | None
) -> Iterator[tuple[int, dict[str, float]]]:
    """The same numbers of a run up to an env step, read from its metrics, in order of env steps.

    Args:
        folder: the run folder.
        env_steps: where the run continues.
        solved: when it solved its environment before; the metrics do not hold it.

    Raises:
        RunFolderError: the metrics cannot be read.
    """
    if not env_steps:
        return
    reader = MetricsReader(folder.metrics)
    try:
        until = f"env_steps <= {env_steps:d}"
        training, timing, evaluations, own = (
            reader.columns(name, until)
            for name in ("training", "timing", "evaluations", "own_metrics")
        )
    finally:
        reader.close()
    progress = training | {name: timing[name] for name in ("seconds", "env_steps_per_second")}
    progress["success_rate"] = _success_rates(own, training["env_steps"])
    rows = [_of_metrics(_row(progress, i)) for i in range(len(training["env_steps"]))]
    rows += [_of_played(_row(evaluations, i)) for i in range(len(evaluations["env_steps"]))]
    rows += [_of_own(_row(own, i)) for i in range(len(own["env_steps"]))]
    if solved:
        rows.append((solved.env_steps, scalars(solved)))
    yield from sorted(rows, key=lambda row: row[0])


def _success_rates(own: dict[str, np.ndarray], at: np.ndarray) -> list[float | None]:
    """The share of successes in the newest episodes that told it, at each of some env steps."""
    told = own["name"] == SUCCESS
    steps, successes = own["env_steps"][told], own["value"][told]
    ends = np.searchsorted(steps, at, side="right")
    return [
        float(np.mean(successes[max(0, end - RECENT_EPISODES) : end])) if end else None
        for end in ends
    ]


def _row(columns: dict[str, np.ndarray], index: int) -> dict[str, Any]:
    return {name: column[index] for name, column in columns.items()}


def _of_metrics(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    values = {name: row[_COLUMNS.get(field, field)] for name, field in OF_PROGRESS.items()}
    return int(row["env_steps"]), _known(values | {SUCCESSES: row["success_rate"]})


def _of_played(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    figures = (row["mean_return"], row["std_return"], row["mean_length"], row["success_rate"])
    return int(row["env_steps"]), _named(row["purpose"], *figures)


def _of_own(row: dict[str, Any]) -> tuple[int, dict[str, float]]:
    return int(row["env_steps"]), own_scalars({str(row["name"]): float(row["value"])})


def _of_evaluation(purpose: str, evaluation: Evaluation) -> dict[str, float]:
    spread, length = np.std(evaluation.returns), np.mean(evaluation.lengths)
    figures = (evaluation.mean_return, spread, length, evaluation.success_rate)
    return _named(purpose, *figures)


def _named(purpose: str, *figures: Any) -> dict[str, float]:
    """The figures of an evaluation, in the order of `EVALUATED`, by their names."""
    group = OF_EVALUATIONS[purpose]
    return _known({f"{group}/{name}": v for name, v in zip(EVALUATED, figures, strict=True)})


def _known(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if value is not None}
