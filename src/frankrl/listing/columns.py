"""The columns of a table of runs, as text."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from frankrl.core.figures import figure
from frankrl.core.seeds import seeds_in_words
from frankrl.core.text import shown
from frankrl.listing.listed_run import ListedRun

NOTHING = "–"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MAX_PATH = 4_096
"""Characters of a path that are shown: all, on any usual system."""
_TWICE = 2
"""A time is given in the largest unit of which it has so many."""


class Column(NamedTuple):
    """A column of a table of runs."""

    text: Callable[[ListedRun], str]
    is_number: bool = False


def size_text(size: int) -> str:
    """A size on the disk, such as "12.3 MB".

    Args:
        size: the size. [bytes]
    """
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1_000:
            break
        number, unit = number / 1_000, larger
    return f"{number:,.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def age_text(seconds: float) -> str:
    """How long ago something was, such as "3 h ago".

    Args:
        seconds: the time since then; a clock that was set back makes it negative.
    """
    for length, unit in _UNITS:
        if seconds >= _TWICE * length:
            return f"{int(seconds // length):,} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def _return(value: float | None, spread: float = 0.0) -> str:
    return NOTHING if value is None else figure(value, spread)


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _steps(run: ListedRun) -> str:
    if run.settings is None:
        return NOTHING
    of = f"{run.env_steps:,} of {run.total_env_steps:,}"
    return f"{of} updates" if run.settings.is_offline else of


def _seed(run: ListedRun) -> str:
    if run.seeds:
        return seeds_in_words(run.seeds)
    return NOTHING if run.seed is None else str(run.seed)


def _written(run: ListedRun) -> str:
    return NOTHING if run.written_at is None else age_text(time.time() - run.written_at)


COLUMNS: Mapping[str, Column] = {
    "run": Column(lambda run: shown(run.name, _MAX_PATH)),
    "environment": Column(lambda run: shown(run.env_id) or NOTHING),
    "preset": Column(lambda run: shown(run.preset) or NOTHING),
    "seed": Column(_seed, True),
    "state": Column(lambda run: run.state),
    "env steps": Column(_steps, True),
    "return": Column(lambda run: _return(run.mean_return, run.mean_return_spread), True),
    "best": Column(lambda run: _return(run.best_return), True),
    "final": Column(lambda run: _return(run.final_return, run.final_return_spread), True),
    "solved at": Column(lambda run: _count(run.solved_at), True),
    "size": Column(lambda run: size_text(run.size_bytes), True),
    "written": Column(_written, True),
}
"""What a table of runs shows, by the column's title."""


def cells(run: ListedRun) -> list[str]:
    """What a table shows of a run, by `COLUMNS`."""
    return [column.text(run) for column in COLUMNS.values()]


def aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """A table as lines of text, its columns two spaces apart.

    Args:
        rows: the rows, each with a cell for every column.
        numbers: indices of the columns that end in line.
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        filled = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        texts = [
            space + cell if i in numbers else cell + space
            for i, (cell, space) in enumerate(zip(row, filled, strict=True))
        ]
        lines.append("  ".join(texts).rstrip())
    return lines


def table_rows(runs: Sequence[ListedRun]) -> list[list[str]]:
    """A table of runs with its head; nothing of no runs."""
    return [list(COLUMNS), *map(cells, runs)] if runs else []


NUMBERS = frozenset(i for i, column in enumerate(COLUMNS.values()) if column.is_number)
"""Indices of the columns that hold numbers."""
