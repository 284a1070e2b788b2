"""One update, recomputed as `frank explain` does it."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from frankrl.explaining import CloningRecord, UpdateRecord, batch_origins, cost_of, reopen
from frankrl.explaining.html import sections_html
from frankrl.explaining.narrative import narrate
from frankrl.explaining.plain import plain
from frankrl.runs.folder import RunFolder

MAX_TRANSITIONS = 128
"""Number of transitions of a batch that the page can follow."""
_STATES = ("observation", "next_observation")


def open_update(
    folder: RunFolder, number: int, out: Path, on_progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Recompute an update and explain each transition of its batch.

    Args:
        folder: the run.
        number: number of the update, from 1.
        out: folder for the HTML of each transition, named by its position in the batch, and for
            the pictures in it; the page names such a file by its number alone.
        on_progress: called with the env steps repeated and the env steps to repeat.

    Returns:
        The output of `frank explain --json` without the states and the memory, which may be large;
        the title of the update; and what to call each transition that can be followed.

    Raises:
        FrankError: there is no such update, or it cannot be recomputed.
    """
    description = folder.description
    settings = description.settings
    cost = cost_of(folder, number)
    on_progress(0, cost.ticks)
    reopened = reopen(folder, number, _seldom(on_progress), cost=cost)
    record, spec = reopened.record, reopened.spec
    came_from = batch_origins(folder, reopened)
    followed = min(len(record.losses), MAX_TRANSITIONS)
    address = _Files(out)
    for index in range(followed):
        document = narrate(record, came_from, index, spec, settings, "")
        (out / f"{index}.html").write_text(sections_html(document, address), "utf-8")
    return {
        "title": narrate(record, came_from, 0, spec, settings, "").title,
        "followed": followed,
        "names": [_name(record, index) for index in range(followed)],
        "action_names": spec.action_names,
        "record": _without_states(plain(record, came_from)),
    }


class _Files:
    """Writes pictures to files, because the page's policy refuses pictures that it holds itself."""

    def __init__(self, out: Path) -> None:
        """Begin after the numbers of the transitions."""
        self._out, self._numbers = out, itertools.count(MAX_TRANSITIONS)

    def __call__(self, file: bytes) -> str:
        """Write a PNG file; returns its number."""
        number = str(next(self._numbers))
        (self._out / f"{number}.png").write_bytes(file)
        return number


def _name(record: UpdateRecord | CloningRecord, index: int) -> str:
    if record.sequences is None:
        return str(index)
    own = record.sequences
    return f"step {own.step[index]} of sequence {own.sequence[index]}"


def _without_states(record: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in record["batch"].items() if k not in _STATES}
    # The memory along a batch of sequences has as many numbers as the states.
    return record | {"batch": kept, "sequences": None}


def _seldom(on_progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """The same callback, called at most a hundred times."""
    reported = -1

    def report(done: int, of: int) -> None:
        nonlocal reported
        if (now := 100 * done // max(of, 1)) != reported:
            reported = now
            on_progress(done, of)

    return report
