"""What a tracker holds of a run, beside what the run's own metrics say."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

Held = dict[tuple[int, str], float]
"""(env step, name) → value."""
CLOCK = ("time/fps", "time/time_elapsed")
"""Names whose values the clock decides."""
_OF_TRAINING = {
    "rollout/ep_rew_mean": "mean_return_100",
    "rollout/ep_len_mean": "mean_length_100",
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
}
"""Names, and columns of the table `training`: written out, so that no code is its own oracle."""
_OF_EVALUATIONS = {
    "mean_reward": "mean_return",
    "std_reward": "std_return",
    "mean_ep_length": "mean_length",
    "success_rate": "success_rate",
}
_GROUPS = {"progress": "eval", "final": "eval_final", "solved": "eval_solved_check"}


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
    """What a tracker is to hold by the run's own metrics and report, but for what the clock
    decides."""
    found: Held = {}
    connection = sqlite3.connect(run / "metrics.sqlite")
    connection.row_factory = sqlite3.Row
    tables = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY env_steps").fetchall()
        for name in ("training", "evaluations", "own_metrics")
    }
    connection.close()
    own = [tuple(row) for row in tables["own_metrics"]]
    for row in tables["training"]:
        found |= {(row["env_steps"], name): row[column] for name, column in _OF_TRAINING.items()}
        told = [v for step, name, v in own if name == "is_success" and step <= row["env_steps"]]
        if told:
            found[row["env_steps"], "rollout/success_rate"] = float(np.mean(told[-100:]))
    for row in tables["evaluations"]:
        group = _GROUPS[row["purpose"]]
        found |= {
            (row["env_steps"], f"{group}/{name}"): row[column]
            for name, column in _OF_EVALUATIONS.items()
        }
    found |= {(step, f"own/{name}"): v for step, name, v in own if name != "is_success"}
    if solved := json.loads((run / "report.json").read_bytes())["solved"]:
        found[solved["env_steps"], "eval/solved"] = 1.0
    return {key: float(value) for key, value in found.items() if value is not None}
