"""The runs below a folder as a list."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple, overload

from frankrl.config import Settings
from frankrl.core.errors import FrankError, RunFolderError, warn
from frankrl.core.figures import counted
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.listing.columns import COLUMNS, NUMBERS, aligned, cells, table_rows
from frankrl.listing.group_row import group_row
from frankrl.listing.listed_run import UNREADABLE, ListedRun
from frankrl.listing.run_index import MAX_FOLDERS, ODD, Listed, RunIndex, id_and_name, stamp_of
from frankrl.listing.run_row import Row, row_of
from frankrl.listing.run_status import status_of
from frankrl.runs.disk_usage import disk_usage
from frankrl.runs.group import RunGroup
from frankrl.runs.layout import CONFIG, METRICS, REPORT
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

    The runs of several seeds that were trained together are one entry, unless the folder is theirs.

    Args:
        folder: a folder of runs, or a run.

    Raises:
        RunFolderError: there is no such folder.
    """
    root = given_path(folder, "the folder of runs")
    if not root.is_dir():
        raise RunFolderError(f"there is no folder {root}: name one that contains runs")
    index = RunIndex(root, MAX_FOLDERS)
    rows = _rows(index)
    if not index.is_whole:
        warn(
            f"{shown(root)} holds more than {MAX_FOLDERS:,} folders, so not all of its runs are "
            "listed: name a folder below it"
        )
    return RunList(root, [_listed(*found) for found in rows])


def unreadable_lines(runs: Sequence[ListedRun]) -> list[str]:
    """Why runs cannot be read, a line for each."""
    return [f"{shown(run.name)}: {run.error}" for run in runs if run.state == UNREADABLE]


class _Found(NamedTuple):
    """A run or a group, and its row."""

    path: Path
    name: str
    row: Row
    settings: Settings | None
    """None if they cannot be read."""
    runs: tuple[Path, ...]
    """Its run folder, or those of the group that are there."""


def _rows(index: RunIndex) -> list[_Found]:
    """The runs below a folder in order of their names, those of a group as one."""
    found: list[_Found] = []
    members: dict[Path, list[_Found]] = {}
    for run in index.scan().values():
        settings = run.folder.description.settings if run.folder else None
        one = _Found(run.path, run.name, _row(run), settings, (run.path,))
        if run.path.parent in index.groups:
            members.setdefault(run.path.parent, []).append(one)
        else:
            found.append(one)
    found += [_group(index.root, path, members.get(path, [])) for path in index.groups]
    return sorted(found, key=lambda one: one.path.parts)


def _row(run: Listed) -> Row:
    try:
        return row_of(run, status_of(run.path))
    except ODD as error:
        return {"error": shown(f"its files are odd: {error}")}


def _group(root: Path, path: Path, members: Sequence[_Found]) -> _Found:
    _, name = id_and_name(root, path)
    runs = tuple(one.path for one in members)
    try:
        group = RunGroup.open(path)
    except FrankError as error:
        return _Found(path, name, {"error": shown(error)}, None, runs)
    row = group_row(group, [one.row for one in members])
    return _Found(path, name, row, group.description.settings, runs)


def _listed(
    path: Path, name: str, row: Row, settings: Settings | None, runs: tuple[Path, ...]
) -> ListedRun:
    files = [run / file for run in runs for file in _WRITTEN]
    times = [stamp[0] for file in files if (stamp := stamp_of(file)) is not None]
    seeds = row.get("seeds", ())
    return ListedRun(
        path=path,
        name=name,
        env_id=row.get("env_id", ""),
        preset=row.get("preset", ""),
        seed=None if seeds else row.get("seed"),
        state=UNREADABLE if row["error"] else row["state"],
        clock=row.get("clock", ""),
        env_steps=row.get("env_steps", 0),
        total_env_steps=row.get("total_env_steps", 0),
        updates=row.get("updates", 0),
        mean_return=row.get("last_return"),
        mean_return_spread=row.get("last_spread", 0.0),
        best_return=row.get("best_return"),
        final_return=row.get("final_return"),
        final_return_spread=row.get("final_spread", 0.0),
        solved_at=row.get("solved_at"),
        size_bytes=disk_usage(list(runs)).total,
        written_at=max(times) / 1e9 if times else None,
        settings=None if row["error"] else settings,
        seeds=seeds,
        error=row["error"] or row.get("note", ""),
    )
