"""The groups of runs that the page lists, each as one row."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown
from frankrl.listing.group_row import group_row
from frankrl.listing.run_index import Listed, id_and_name
from frankrl.listing.run_row import Row
from frankrl.runs.group import RunGroup

_MAX_ERROR = 500


class _Group(NamedTuple):
    """A group and its row."""

    name: str
    path: Path
    members: tuple[str, ...]
    """Ids of its runs that have begun."""
    changes: tuple[int, ...]
    """The count of changes at the last change of each."""
    row: Row


class GroupTable:
    """The rows of groups. It has no lock of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._groups: dict[str, _Group] = {}

    def refresh(
        self, paths: Iterable[Path], listed: Mapping[str, Listed], rows: Mapping[str, Row], now: int
    ) -> bool:
        """Update the rows of groups whose runs have changed; returns whether one has.

        Args:
            paths: the groups' folders.
            listed: the runs that there are, by id.
            rows: their rows.
            now: the count of changes that a changed row gets.
        """
        members: dict[Path, list[str]] = {path: [] for path in paths}
        for run_id, run in listed.items():
            if run.path.parent in members:
                members[run.path.parent].append(run_id)
        before, self._groups = self._groups, {}
        for path, ids in members.items():
            group_id, name = id_and_name(self._root, path)
            changes = tuple(rows[i]["change"] for i in ids)
            known = before.get(group_id)
            if known is None or (known.members, known.changes) != (tuple(ids), changes):
                row = _row(path, [rows[i] for i in ids])
                row |= {"id": group_id, "name": name, "change": now}
                row["written_at"] = max((rows[i]["written_at"] for i in ids), default=0)
                known = _Group(name, path, tuple(ids), changes, row)
            self._groups[group_id] = known
        return before != self._groups

    def members(self, group_id: str) -> tuple[str, ...] | None:
        """Ids of the runs of a group that have begun; None: there is no such group."""
        group = self._groups.get(group_id)
        return None if group is None else group.members

    def name(self, group_id: str) -> str:
        """The name of a group on the page."""
        return self._groups[group_id].name

    def path(self, group_id: str) -> Path:
        """The folder of a group."""
        return self._groups[group_id].path

    def ids(self) -> list[str]:
        """The ids of all groups."""
        return list(self._groups)

    def all_members(self) -> set[str]:
        """The ids of the runs of all groups, which have no rows of their own on the page."""
        return {run_id for group in self._groups.values() for run_id in group.members}

    def texts_since(self, change: int) -> list[str]:
        """The rows that changed after a count of changes, as JSON."""
        rows = [group.row for group in self._groups.values()]
        return [json.dumps(row, allow_nan=False) for row in rows if row["change"] > change]


def _row(path: Path, rows: list[Row]) -> Row:
    try:
        return group_row(RunGroup.open(path), rows)
    except FrankError as error:
        return {"error": shown(error, _MAX_ERROR)}
