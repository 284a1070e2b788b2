"""What Frank notes in the run folder about a tracker: its run's id, and what was logged."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from frankrl.core.errors import DamagedError
from frankrl.runs.disk import read_regular

_MAX_BYTES = 1 << 20


class Notes:
    """The notes about one tracker of one run, `trackers/<name>.json`.

    An env step is noted *before* it is logged. So whenever the process is killed, no env step is
    logged twice: at worst, the one that was being logged is missing.
    """

    def __init__(self, file: Path) -> None:
        """Read the notes; there are none before the tracker is opened for the first time.

        Raises:
            DamagedError, RunFolderError: they cannot be read.
        """
        self._file = file
        self.kept: dict[str, str] = {}
        self.logged: dict[str, int] = {}
        if file.exists() or file.is_symlink():
            self.kept, self.logged = _read(file)

    def keep(self, kept: Mapping[str, str]) -> None:
        """Note what finds the tracker's run again."""
        self.kept = dict(kept)
        self._write()

    def will_log(self, names: Iterable[str], env_steps: int) -> None:
        """Note that values of these names are about to be logged."""
        self.logged.update(dict.fromkeys(names, env_steps))
        self._write()

    def _write(self) -> None:
        """Replace the file. It survives the process; it is not flushed to the disk each time."""
        self._file.parent.mkdir(exist_ok=True)
        temporary = self._file.with_name(f".{self._file.name}.new")
        temporary.unlink(missing_ok=True)
        temporary.write_text(json.dumps({"kept": self.kept, "logged": self.logged}))
        temporary.replace(self._file)


def _read(file: Path) -> tuple[dict[str, str], dict[str, int]]:
    try:
        found: Any = json.loads(read_regular(file, _MAX_BYTES))
        kept, logged = found["kept"], found["logged"]
        if all(type(value) is str for value in kept.values()) and all(
            type(value) is int for value in logged.values()
        ):
            return dict(kept), dict(logged)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise DamagedError(
        f"{file} is damaged, so it is not known what the tracker was told; remove the file to "
        "begin a new run in the tracker"
    )
