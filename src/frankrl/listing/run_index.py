"""The runs below a folder, each under an id that is not a path."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from frankrl.core.errors import FrankError
from frankrl.core.text import shown
from frankrl.runs.folder import CONFIG, RunFolder

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
        self._read: dict[Path, tuple[Stamp | None, Listed]] = {}

    def scan(self) -> dict[str, Listed]:
        """The runs that exist now, by id; links are not followed."""
        scanned = {}
        paths, self.is_whole = _run_folders(self.root, self._max_runs)
        for path in paths:
            stamp = stamp_of(path / CONFIG)
            known = self._read.get(path)
            scanned[path] = known if known and known[0] == stamp else (stamp, self._listed(path))
        self._read = scanned
        return {listed.id: listed for _, listed in scanned.values()}

    def _listed(self, path: Path) -> Listed:
        relative = path.relative_to(self.root)
        name = str(relative) if relative.parts else path.name
        digest = hashlib.blake2b(os.fsencode(relative), digest_size=6).hexdigest()
        name = shown(name, _LONGEST)
        try:
            return Listed(digest, name, path, RunFolder.open(path), "")
        except FrankError as error:
            return Listed(digest, name, path, None, shown(error, _LONGEST))
        except ODD as error:
            reason = shown(f"its config.toml is odd: {error}", _LONGEST)
            return Listed(digest, name, path, None, reason)


def stamp_of(path: Path) -> Stamp | None:
    """Time, size and inode of a file, which change when it is written; None: no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _run_folders(root: Path, max_runs: int) -> tuple[list[Path], bool]:
    """Folders with a `config.toml`, sorted by name, and whether the list is complete."""
    waiting, folders, visited = [(root, 0)], [], 0
    while waiting:
        if len(folders) == max_runs or visited == MAX_FOLDERS:
            return folders, False
        folder, depth = waiting.pop()
        visited += 1
        try:
            if (folder / CONFIG).is_file():
                folders.append(folder)
                continue
            if depth == _DEEPEST:
                continue
            with os.scandir(folder) as entries:
                children = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        names = sorted((n for n in children if not n.startswith(".")), reverse=True)
        waiting += [(folder / name, depth + 1) for name in names]
    return folders, True
