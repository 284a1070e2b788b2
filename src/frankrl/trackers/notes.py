"""What Frank notes in the run folder about a tracker: its run's id, and what was logged."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from frankrl.core.errors import DamagedError
from frankrl.runs.disk import read_regular
from frankrl.runs.mark import is_own, mark_of

_MAX_BYTES = 1 << 20


class Notes:
    """The notes about one tracker of one run, `trackers/<name>.json`.

    An env step is noted *before* it is logged. So whenever the process is killed, no env step is
    logged twice: at worst, the one that was being logged is missing.

    The notes name a run in the tracker, into which is written from now on. Those that somebody else
    wrote are passed over, or a folder from anyone could write into any run of the user's.
    """

    def __init__(self, file: Path) -> None:
        """Read the notes; there are none before the tracker is opened by this user.

        Raises:
            DamagedError, RunFolderError: they cannot be read.
        """
        self._file = file
        self.kept: dict[str, str] = {}
        self._mark = mark_of(_named(file, self.kept))
        self.logged: dict[str, int] = {}
        if file.exists() or file.is_symlink():
            kept, logged, mark = _read(file)
            if is_own(mark, _named(file, kept)):
                self.kept, self.logged, self._mark = kept, logged, mark

    def keep(self, kept: Mapping[str, str]) -> None:
        """Note what finds the tracker's run again."""
        self.kept = dict(kept)
        self._mark = mark_of(_named(self._file, self.kept))
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
        notes = {"kept": self.kept, "logged": self.logged, "mark": self._mark}
        temporary.write_text(json.dumps(notes))
        temporary.replace(self._file)


def _named(file: Path, kept: Mapping[str, str]) -> list[Any]:
    """What the mark of the notes is made of."""
    return ["tracker", file.stem, dict(kept)]


def _read(file: Path) -> tuple[dict[str, str], dict[str, int], str]:
    try:
        found: Any = json.loads(read_regular(file, _MAX_BYTES))
        kept, logged = found["kept"], found["logged"]
        if all(type(value) is str for value in kept.values()) and all(
            type(value) is int for value in logged.values()
        ):
            return dict(kept), dict(logged), str(found.get("mark", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise DamagedError(
        f"{file} is damaged, so it is not known what the tracker was told; remove the file to "
        "begin a new run in the tracker"
    )
