"""One row of the table of runs: description, status and progress of a run."""

from typing import Any

import numpy as np

from frankrl.core.errors import FrankError
from frankrl.core.figures import figure
from frankrl.core.text import shown
from frankrl.environments.threshold import reward_threshold
from frankrl.listing.run_index import Listed
from frankrl.listing.run_status import RunStatus
from frankrl.runs.folder import RunFolder
from frankrl.runs.metrics import MetricsReader

Row = dict[str, Any]
_LAST_EPISODES = (
    "env_steps >= (SELECT min(env_steps) FROM "
    "(SELECT env_steps FROM episodes ORDER BY env_steps DESC LIMIT 100))"
)
"""The episodes whose mean return is the training return."""


def row_of(listed: Listed, status: RunStatus) -> Row:
    """The row of a run; `error` or `note` say what cannot be read."""
    if listed.folder is None:
        return {"id": listed.id, "name": listed.name, "error": listed.error}
    description = listed.folder.description
    row: Row = {
        "id": listed.id,
        "name": listed.name,
        "error": "",
        "env_id": description.env_id,
        "preset": description.preset,
        "seed": description.seed,
        "state": status.state,
        "solved_at": status.solved_at,
        "final_return": status.final_return,
        "final_spread": status.final_spread,
        "final_text": _in_words(status.final_return, status.final_spread),
        "total_env_steps": description.settings.budget,
        "clock": description.settings.clock,
        "gamma": description.settings.learning.gamma,
        "batch_size": description.settings.update_batch_size,
    }
    try:
        return row | _progress(listed.folder, status)
    except FrankError as error:
        return row | {"note": shown(error)}


def _uncertainty(returns: np.ndarray) -> float:
    """Twice the standard error of the mean of some returns."""
    return float(2 * np.std(returns) / np.sqrt(len(returns))) if len(returns) else 0.0


def _in_words(value: float | None, spread: float = 0.0) -> str:
    return "–" if value is None else figure(float(value), spread)


def _progress(folder: RunFolder, status: RunStatus) -> Row:
    """Progress of a run, from the last row of its metrics."""
    reader = MetricsReader(folder.metrics)
    try:
        last = reader.columns("training", "env_steps = (SELECT max(env_steps) FROM training)")
        episodes = reader.columns("episodes", _LAST_EPISODES)
        solved_checks = reader.columns("evaluations", "purpose = 'solved'")
        progress = reader.columns("evaluations", "purpose = 'progress'")["mean_return"]
        start = folder.description.settings.first_update_ticks
    finally:
        reader.close()
    row: Row = {"env_steps": 0, "updates": 0, "last_return": None, "learning_starts": start}
    row |= {"last_spread": 0.0, "last_text": _in_words(None)}
    row["best_return"] = float(np.max(progress)) if len(progress) else None
    if len(last["env_steps"]):
        value = last["mean_return_100"][0]
        spread = _uncertainty(episodes["episode_return"])
        row |= {
            "env_steps": int(last["env_steps"][0]),
            "updates": int(last["updates"][0]),
            "last_return": None if value is None else float(value),
            "last_spread": spread,
            "last_text": _in_words(value, spread),
        }
    if status.env_steps is not None:
        if row["env_steps"] > status.env_steps:
            row["state"] = "broken off"
        row["env_steps"] = max(row["env_steps"], status.env_steps)
    if folder.description.settings.is_offline:
        # Its clock goes on after the last row of its metrics, or without any.
        row["updates"] = row["env_steps"]
    threshold = reward_threshold(folder.description.env_id)
    if status.solved_at is None and threshold is not None and len(solved_checks["env_steps"]):
        passed = np.flatnonzero(solved_checks["mean_return"].astype(float) >= threshold)
        row["solved_at"] = int(solved_checks["env_steps"][passed[0]]) if len(passed) else None
    return row
