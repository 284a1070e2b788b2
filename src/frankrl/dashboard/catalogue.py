"""The runs below a folder, each under a name that leads nowhere else."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from frankrl.errors import FrankError
from frankrl.runs.folder import CONFIG, RunFolder

_DEEPEST = 4
MOST_RUNS = 1_000
Stamp = tuple[int, ...]


class Listed(NamedTuple):
    """A run that was found."""

    id: str
    """What a page calls it: it is looked up, never made into a path."""
    name: str
    """Its path below the folder, as it is shown."""
    path: Path
    folder: RunFolder | None
    """None: it cannot be read."""
    error: str
    """Why not."""


class Catalogue:
    """All runs below a folder; a run that is there stays as it was read until it changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[Path, tuple[Stamp | None, Listed]] = {}

    def scan(self) -> dict[str, Listed]:
        """The runs that are there now, by id; links are not followed."""
        found = {}
        for path in _run_folders(self.root):
            stamp = stamp_of(path / CONFIG)
            known = self._read.get(path)
            found[path] = known if known and known[0] == stamp else (stamp, self._listed(path))
        self._read = found
        return {listed.id: listed for _, listed in found.values()}

    def _listed(self, path: Path) -> Listed:
        relative = path.relative_to(self.root)
        name = str(relative) if relative.parts else path.name
        digest = hashlib.blake2b(os.fsencode(relative), digest_size=6).hexdigest()
        shown = name.encode("utf-8", "backslashreplace").decode()
        try:
            return Listed(digest, shown, path, RunFolder.open(path), "")
        except FrankError as error:
            return Listed(digest, shown, path, None, str(error))


def stamp_of(path: Path) -> Stamp | None:
    """What changes when a file is written or replaced; None: there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _run_folders(root: Path) -> Iterator[Path]:
    """Folders that hold a `config.toml`, in order of their names."""
    waiting, count = [(root, 0)], 0
    while waiting and count < MOST_RUNS:
        folder, depth = waiting.pop()
        try:
            if (folder / CONFIG).is_file():
                count += 1
                yield folder
                continue
            if depth == _DEEPEST:
                continue
            with os.scandir(folder) as entries:
                inside = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        names = sorted((n for n in inside if not n.startswith(".")), reverse=True)
        waiting += [(folder / name, depth + 1) for name in names]
