"""Names of local folders in what others will read."""

import os
import re
from pathlib import Path, PureWindowsPath
from typing import Any

_PART = r"[^\s'\"`,;:()\[\]]+"
_PATH = re.compile(
    rf"(?<![\w.:/~…])(?:~\w*)?/{_PART}|(?<![\w.:/\\~…])(?:[A-Za-z]:[\\/]|~\w*\\|\\\\(?=[\w?.])){_PART}"
)
"""An absolute path in a text, of POSIX or of Windows; the path of a URL is none."""
_HOME = ("HOME", "USERPROFILE")
"""The variables with this user's home folder."""


def without_paths(value: Any) -> Any:
    """JSON data in which each absolute path is replaced by its last part: `…/part`."""
    if isinstance(value, str):
        homes = {str(Path(os.environ[name])) for name in _HOME if os.environ.get(name)}
        # As a text within a text.
        homes |= {home.replace("\\", r"\\") for home in homes}
        for home in sorted(homes, key=len, reverse=True):
            value = value.replace(home, "~") if len(home) > 1 else value
        # It divides names at the slashes of both systems.
        return _PATH.sub(lambda found: f"…/{PureWindowsPath(found[0]).name}", value)
    if isinstance(value, dict):
        return {name: without_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_paths(part) for part in value]
    return value
