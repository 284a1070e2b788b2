"""The runs below a folder as a list."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import overload

from frankrl.core.errors import RunFolderError
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.listing.run_index import ODD, RunIndex
from frankrl.listing.run_row import Row, row_of
from frankrl.listing.run_status import status_of

_COLUMNS = ("run", "environment", "preset", "seed", "state", "env steps", "return", "final return")


@dataclass(frozen=True)
class ListedRun:
    """A run in a list."""

    path: Path
    env_id: str
    preset: str
    seed: int | None
    state: str
    """One of `not started`, `running`, `finished`, `stopped`, `broken off`, `unreadable`."""
    env_steps: int
    total_env_steps: int
    updates: int
    mean_return: float | None
    """Of the last 100 training episodes."""
    final_return: float | None
    """Mean return of the final evaluation."""
    solved_at: int | None
    """Env step of the first passed solved check. [env steps]"""
    error: str
    """What could not be read; empty: all could."""


class RunList(Sequence[ListedRun]):
    """The runs below a folder, by name; it prints as a table."""

    def __init__(self, root: Path, runs: Sequence[ListedRun], rows: Sequence[Sequence[str]]):
        self._root, self._runs, self._rows = root, list(runs), list(rows)

    @overload
    def __getitem__(self, index: int) -> ListedRun: ...
    @overload
    def __getitem__(self, index: slice) -> list[ListedRun]: ...
    def __getitem__(self, index: int | slice) -> ListedRun | list[ListedRun]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        if not self._rows:
            return self._title()
        table = [_COLUMNS, *self._rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        head = "".join(f"<th>{escape(name)}</th>" for name in _COLUMNS)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows
        )
        title = escape(self._title())
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>"

    def _title(self) -> str:
        return f"{counted(len(self), 'run')} below {shown(self._root)}"


def list_runs(folder: str | os.PathLike[str] = "runs") -> RunList:
    """The runs below a folder, each with its state and its returns. Nothing is changed.

    Args:
        folder: a folder of runs, or a run.

    Raises:
        RunFolderError: there is no such folder.
    """
    root = given_path(folder, "the folder of runs")
    if not root.is_dir():
        raise RunFolderError(f"there is no folder {root}: name one that contains runs")
    listed = RunIndex(root).scan().values()
    rows: list[tuple[Path, Row]] = []
    for run in listed:
        try:
            rows.append((run.path, row_of(run, status_of(run.path))))
        except ODD as error:
            rows.append((run.path, {"name": run.name, "error": f"its files are odd: {error}"}))
    return RunList(root, [_listed(path, row) for path, row in rows], [_cells(r) for _, r in rows])


def _listed(path: Path, row: Row) -> ListedRun:
    return ListedRun(
        path,
        row.get("env_id", ""),
        row.get("preset", ""),
        row.get("seed"),
        "unreadable" if row["error"] else row["state"],
        row.get("env_steps", 0),
        row.get("total_env_steps", 0),
        row.get("updates", 0),
        row.get("last_return"),
        row.get("final_return"),
        row.get("solved_at"),
        row["error"] or row.get("note", ""),
    )


def _cells(row: Row) -> tuple[str, ...]:
    """What the table shows of a run."""
    if row["error"]:
        return (shown(row["name"]), *("",) * 3, "unreadable", shown(row["error"]), "", "")
    texts = (row["name"], row["env_id"], row["preset"], row["seed"], row["state"])
    steps = f"{row.get('env_steps', 0):,} of {row['total_env_steps']:,}"
    return (*map(shown, texts), steps, row.get("last_text", "–"), row["final_text"])
