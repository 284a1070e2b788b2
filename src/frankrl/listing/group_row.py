"""One row of the table of runs for all runs of a group: the score of what they have given."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from frankrl.core.figures import figure
from frankrl.core.score import Score, score
from frankrl.core.seeds import seeds_in_words
from frankrl.listing.run_row import Row
from frankrl.runs.group import RunGroup

_FIRST = ("running", "broken off", "stopped", "not started", "pruned", "finished")
"""States by what a group is in as soon as one of its runs is."""


def group_row(group: RunGroup, rows: Sequence[Row]) -> Row:
    """The row of a group, as `row_of` makes that of a run.

    Counts are those of the run that has gone the least far, returns are scores over the seeds, and
    the group is solved once all its runs are.

    Args:
        group: the group.
        rows: the rows of its runs that have begun.
    """
    about = group.description
    read = [row for row in rows if not row.get("error")]
    last = _score(row.get("last_return") for row in read)
    final = _score(row.get("final_return") for row in read)
    best = _score(row.get("best_return") for row in read)
    solved = [row["solved_at"] for row in read if row.get("solved_at") is not None]
    states = [row["state"] for row in read] + ["not started"] * (len(group.seeds) - len(read))
    return {
        "error": "",
        "env_id": about.env_id,
        "preset": about.preset,
        "seed": seeds_in_words(group.seeds),
        "seeds": group.seeds,
        "state": next(state for state in _FIRST if state in states),
        "total_env_steps": about.settings.budget,
        "clock": about.settings.clock,
        "learning_starts": about.settings.first_update_ticks,
        "gamma": about.settings.learning.gamma,
        "batch_size": about.settings.update_batch_size,
        "env_steps": _least(group, read, "env_steps"),
        "updates": _least(group, read, "updates"),
        "solved_at": max(solved) if len(solved) == len(group.seeds) else None,
        **_named("last", last),
        **_named("final", final),
        "best_return": best and best.middle,
    }


def _score(values: Iterable[Any]) -> Score | None:
    known = np.array([value for value in values if value is not None], np.float64)
    known = known[np.isfinite(known)]
    return score(known) if len(known) else None


def _named(which: str, found: Score | None) -> Row:
    spread = 0.0 if found is None else (found.high - found.low) / 2
    return {
        f"{which}_return": found and found.middle,
        f"{which}_spread": spread,
        f"{which}_text": "–" if found is None else figure(found.middle, spread),
    }


def _least(group: RunGroup, rows: Sequence[Row], name: str) -> int:
    if len(rows) < len(group.seeds):
        return 0
    return min((int(row.get(name, 0)) for row in rows), default=0)
