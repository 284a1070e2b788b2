"""The runs, sweeps and published runs below a folder, each under an id that is not a path."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown
from frankrl.runs.folder import RunFolder
from frankrl.runs.group import is_group
from frankrl.runs.layout import CONFIG

SWEEP = "sweep.json"
"""The file by which the folder of a sweep is known."""
_PUBLISHED = frozenset({"log", "lease"})
"""Folders in the shared storage of a published run."""
_DEEPEST = 4
_LONGEST = 500
"""Characters of a name or an error that the page gets."""
MAX_RUNS = 1_000
MAX_FOLDERS = 20_000
"""Number of folders that a scan visits at most."""
ODD = (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""Errors that files not written by Frank may raise; one such run must not hide the others."""
Stamp = tuple[int, ...]


class Listed(NamedTuple):
    """A run folder that a scan found."""

    id: str
    """Id of the run in requests; it is looked up, never used as a path."""
    name: str
    """Its path relative to the root, as shown."""
    path: Path
    folder: RunFolder | None
    """None if the run cannot be read."""
    error: str
    """Why the run cannot be read, else empty."""


class RunIndex:
    """All runs below a folder; a run is read again only when its `config.toml` changes."""

    def __init__(self, root: Path, max_runs: int = MAX_RUNS) -> None:
        """An index of nothing yet.

        Args:
            root: the folder.
            max_runs: number of runs to list at most.
        """
        self.root, self._max_runs = root.resolve(), max_runs
        self.is_whole = True
        """Whether the last scan visited everything, without hitting a limit."""
        self.groups: list[Path] = []
        """The folders of groups that the last scan found below the root; their runs are listed."""
        self.sweeps: list[Path] = []
        """The folders of sweeps that the last scan found."""
        self.published: list[Path] = []
        """The folders of published runs that the last scan found."""
        self._read: dict[Path, tuple[Stamp | None, Listed]] = {}

    def scan(self) -> dict[str, Listed]:
        """The runs that exist now, by id; links are not followed."""
        scanned = {}
        found = _visit(self.root, self._max_runs)
        self.sweeps, self.published = found.sweeps, found.published
        self.groups = list(found.groups)
        self.is_whole = found.is_whole
        for path in found.runs:
            stamp = stamp_of(path / CONFIG)
            known = self._read.get(path)
            scanned[path] = known if known and known[0] == stamp else (stamp, self._listed(path))
        self._read = scanned
        return {listed.id: listed for _, listed in scanned.values()}

    def _listed(self, path: Path) -> Listed:
        digest, name = id_and_name(self.root, path)
        try:
            return Listed(digest, name, path, RunFolder.open(path), "")
        except FrankError as error:
            return Listed(digest, name, path, None, shown(error, _LONGEST))
        except ODD as error:
            reason = shown(f"its config.toml is odd: {error}", _LONGEST)
            return Listed(digest, name, path, None, reason)


def id_and_name(root: Path, path: Path) -> tuple[str, str]:
    """The id in requests of a folder below a root, and its name on the page."""
    relative = path.relative_to(root)
    name = str(relative) if relative.parts else path.name
    digest = hashlib.blake2b(os.fsencode(relative), digest_size=6).hexdigest()
    return digest, shown(name, _LONGEST)


def stamp_of(path: Path) -> Stamp | None:
    """Time, size and inode of a file, which change when it is written; None: no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class _Found(NamedTuple):
    """The folders that a visit found, sorted by name."""

    runs: list[Path]
    sweeps: list[Path]
    published: list[Path]
    groups: dict[Path, int]
    """The groups below the root, and how many runs of each were found."""
    is_whole: bool
    """Whether everything was visited."""

    @property
    def num_listed(self) -> int:
        """The number of rows: a group has one."""
        return len(self.runs) - sum(self.groups.values()) + len(self.groups)


def _visit(root: Path, max_runs: int) -> _Found:
    """Find the runs, their groups, the sweeps, and the shared storage of published runs."""
    waiting, visited = [(root, 0)], 0
    found = _Found([], [], [], {}, True)
    while waiting:
        if found.num_listed == max_runs or visited == MAX_FOLDERS:
            return found._replace(is_whole=False)
        folder, depth = waiting.pop()
        visited += 1
        try:
            if (folder / CONFIG).is_file():
                found.runs.append(folder)
                if folder.parent in found.groups:
                    found.groups[folder.parent] += 1
                continue
            if folder != root and is_group(folder):
                found.groups[folder] = 0
            if (folder / SWEEP).is_file():
                found.sweeps.append(folder)
            # The runs of a group belong to it, however deep it lies.
            if depth >= _DEEPEST and folder not in found.groups:
                continue
            with os.scandir(folder) as entries:
                children = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        if _PUBLISHED.issubset(children):
            found.published.append(folder)
            continue
        names = sorted((n for n in children if not n.startswith(".")), reverse=True)
        waiting += [(folder / name, depth + 1) for name in names]
    return found
