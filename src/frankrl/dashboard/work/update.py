"""An update, opened as `frank explain` opens it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from frankrl.environments import describe
from frankrl.explaining import cost_of, origins, reopen
from frankrl.explaining.html import sections_html
from frankrl.explaining.narrative import narrate
from frankrl.explaining.plain import plain
from frankrl.runs.folder import RunFolder

MAX_TRANSITIONS = 128
"""Transitions of a batch that can be followed on the page."""
_STATES = ("observation", "next_observation")


def open_update(
    folder: RunFolder, number: int, out: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Open it.

    Args:
        folder: the run's.
        number: the update's, from 1.
        out: where the account of each transition goes, by its place in the batch.
        on_progress: called with env steps done again, and to do.

    Returns:
        What `frank explain --json` prints but for the states, which may be pictures; and what
        heads the account.

    Raises:
        FrankError: there is no such update, or it cannot be come back to.
    """
    description = folder.description
    settings = description.settings
    spec = describe(description.env_id, settings.environment.env_kwargs)
    cost = cost_of(folder, number)
    on_progress(0, cost.env_steps)
    record = reopen(folder, number, _seldom(on_progress), cost=cost).record
    came_from = origins(folder, settings, description.seed, record.transition_env_steps)
    followed = min(len(record.losses), MAX_TRANSITIONS)
    for index in range(followed):
        document = narrate(record, came_from, index, spec, settings, "")
        (out / f"{index}.html").write_text(sections_html(document), "utf-8")
    return {
        "title": narrate(record, came_from, 0, spec, settings, "").title,
        "followed": followed,
        "action_names": spec.action_names,
        "record": _without_states(plain(record, came_from)),
    }


def _without_states(record: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in record["batch"].items() if k not in _STATES}
    return record | {"batch": kept}


def _seldom(on_progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """At most a hundred reports of a way of any length."""
    reported = -1

    def report(done: int, of: int) -> None:
        nonlocal reported
        if (now := 100 * done // max(of, 1)) != reported:
            reported = now
            on_progress(done, of)

    return report
