"""Films and pictures as HTML that holds the whole file."""

import base64
import stat
from pathlib import Path

from frankrl.core.errors import FrankError
from frankrl.inline.block import as_text
from frankrl.runs.disk import read_regular

MAX_BYTES = 8 << 20
"""A larger file is named instead of shown: the notebook's own file would hold it."""
_KINDS = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png"}


def newest_film(run: Path) -> str:
    """The newest film of a run, for a page; empty if there is none.

    Args:
        run: the run folder; links in it are not followed.
    """
    if (run / "videos").is_symlink():
        return ""
    try:
        found = [
            (entry.lstat().st_mtime_ns, entry)
            for entry in (run / "videos").iterdir()
            if entry.suffix == ".mp4" and stat.S_ISREG(entry.lstat().st_mode)
        ]
    except OSError:
        return ""
    return media(max(found)[1]) if found else ""


def media(path: Path) -> str:
    """A film or a picture for a page.

    Args:
        path: a file that ends in .mp4, .gif or .png.

    Returns:
        An element that holds the file; where it is too large, cannot be read or is of another
        kind, its path.
    """
    kind = _KINDS.get(path.suffix.lower())
    try:
        content = read_regular(path, MAX_BYTES) if kind else b""
    except FrankError:
        content = b""
    if not content:
        return f"<p>{as_text(path)}</p>"
    source = f'src="data:{kind};base64,{base64.b64encode(content).decode("ascii")}"'
    if kind == "video/mp4":
        return f'<video controls loop muted style="max-width:100%" {source}></video>'
    return f'<img style="max-width:100%" alt="{as_text(path.name)}" {source}>'
