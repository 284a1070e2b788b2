"""The file of an HTML page: checked before the work starts, and replaced in one step."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from frankrl.core.errors import SettingError
from frankrl.runs.disk import write_durably


def check_page_file(path: Path) -> None:
    """Check that a page can be written to a path; the check leaves no file behind.

    Raises:
        SettingError: the folder is missing or not writable, or the path names something
            other than an ordinary file.
    """
    with _temporary(path) as temporary:
        if path.is_dir():
            instead = path / "update.html"
            raise SettingError(f"--html {path} is a folder: name a file in it, such as {instead}")
        if path.exists() and not path.is_file():
            raise SettingError(f"--html {path} is no ordinary file: name another one")
        if not path.parent.is_dir():
            raise SettingError(
                f"--html {path} lies in no folder: make {path.parent} first, or name another file"
            )
        write_durably(temporary, b"")


def write_page(path: Path, page: str) -> None:
    """Write a page and replace any file of that name.

    Raises:
        SettingError: the page cannot be written; an existing file is then unchanged.
    """
    with _temporary(path) as temporary:
        # The page may name a path that is not UTF-8; a terminal shows such a path escaped, too.
        write_durably(temporary, page.encode("utf-8", "backslashreplace"))
        temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A temporary file in the same folder; errors name the final path, and the file is removed."""
    if not path.name:
        raise SettingError(f"--html {path} is a folder: name a file in it")
    temporary = path.with_name(f".{path.stem}.new-{os.getpid()}.html")
    try:
        yield temporary
    except OSError as error:
        raise SettingError(
            f"--html {path} cannot be written: {error.strerror or error}; name another file"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
