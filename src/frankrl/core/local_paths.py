"""Names of local folders in what others will read."""

import os
import re
from pathlib import Path, PurePath
from typing import Any

_PATH = re.compile(r"(?<![\w.:/~…])(?:~\w*)?/[^\s'\"`,;:()\[\]]+")
"""An absolute path in a text; the path of a URL is none."""


def without_paths(value: Any) -> Any:
    """JSON data in which each absolute path is replaced by its last part: `…/part`."""
    if isinstance(value, str):
        home = str(Path.home()) if "HOME" in os.environ else ""
        text = value.replace(home, "~") if len(home) > 1 else value
        return _PATH.sub(lambda found: f"…/{PurePath(found[0]).name}", text)
    if isinstance(value, dict):
        return {name: without_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_paths(part) for part in value]
    return value
