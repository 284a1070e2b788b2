"""The runs below a folder as a list."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import overload

from frankrl.core.errors import RunFolderError, warn
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.listing.columns import COLUMNS, NUMBERS, aligned, cells, table_rows
from frankrl.listing.listed_run import UNREADABLE, ListedRun
from frankrl.listing.run_index import MAX_FOLDERS, ODD, Listed, RunIndex, stamp_of
from frankrl.listing.run_row import Row, row_of
from frankrl.listing.run_status import status_of
from frankrl.runs.disk_usage import disk_usage
from frankrl.runs.folder import CONFIG, METRICS, REPORT
from frankrl.runs.lock import LOCK

_WRITTEN = (CONFIG, METRICS, f"{METRICS}-wal", REPORT, LOCK)
"""The files by which the time of the last writing is known."""


class RunList(Sequence[ListedRun]):
    """The runs below a folder, by name; it prints as a table."""

    def __init__(self, root: Path, runs: Sequence[ListedRun]) -> None:
        self._root, self._runs = root, list(runs)

    @overload
    def __getitem__(self, index: int) -> ListedRun: ...
    @overload
    def __getitem__(self, index: slice) -> list[ListedRun]: ...
    def __getitem__(self, index: int | slice) -> ListedRun | list[ListedRun]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return "\n".join(
            [
                self._title(),
                *aligned(table_rows(self._runs), NUMBERS),
                *unreadable_lines(self._runs),
            ]
        )

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells(run))}</tr>"
            for run in self._runs
        )
        notes = "".join(f"<p>{escape(line)}</p>" for line in unreadable_lines(self._runs))
        title = escape(self._title())
        return f"<table><caption>{title}</caption><tr>{head}</tr>{body}</table>{notes}"

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
    index = RunIndex(root, MAX_FOLDERS)
    listed = index.scan().values()
    if not index.is_whole:
        warn(
            f"{shown(root)} holds more than {MAX_FOLDERS:,} folders, so not all of its runs are "
            "listed: name a folder below it"
        )
    return RunList(root, [_listed(run) for run in listed])


def unreadable_lines(runs: Sequence[ListedRun]) -> list[str]:
    """Why runs cannot be read, a line for each."""
    return [f"{shown(run.name)}: {run.error}" for run in runs if run.state == UNREADABLE]


def _listed(run: Listed) -> ListedRun:
    try:
        row = row_of(run, status_of(run.path))
    except ODD as error:
        row: Row = {"error": shown(f"its files are odd: {error}")}
    times = [stamp[0] for name in _WRITTEN if (stamp := stamp_of(run.path / name)) is not None]
    return ListedRun(
        path=run.path,
        name=run.name,
        env_id=row.get("env_id", ""),
        preset=row.get("preset", ""),
        seed=row.get("seed"),
        state=UNREADABLE if row["error"] else row["state"],
        env_steps=row.get("env_steps", 0),
        total_env_steps=row.get("total_env_steps", 0),
        updates=row.get("updates", 0),
        mean_return=row.get("last_return"),
        mean_return_spread=row.get("last_spread", 0.0),
        best_return=row.get("best_return"),
        final_return=row.get("final_return"),
        final_return_spread=row.get("final_spread", 0.0),
        solved_at=row.get("solved_at"),
        size_bytes=disk_usage([run.path]).total,
        written_at=max(times) / 1e9 if times else None,
        settings=run.folder.description.settings if run.folder and not row["error"] else None,
        error=row["error"] or row.get("note", ""),
    )
