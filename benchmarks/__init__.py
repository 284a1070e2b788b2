"""Studies of how fast and how good Frank is, with their seeds and machine.

The adapters of other libraries import this package where Frank's own dependencies are not, so it
stands on the standard library alone.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frankrl.config import Settings


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; none where there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def begun_with(stored: "Settings", settings: "Settings") -> bool:
    """Whether a run with these stored settings is one of these; it has chosen for each `auto`."""
    theirs, ours = stored.values(), settings.resolved().values()
    return all(theirs[name] == value or value == "auto" for name, value in ours.items())


def made_with(tables: dict[str, Any], settings: "Settings") -> bool:
    """Whether a row's settings mean the same today; those that are newer had their defaults."""
    from frankrl.config import Settings
    from frankrl.core.errors import SettingError

    try:
        return Settings.from_tables(tables) == settings
    except SettingError:
        return False
