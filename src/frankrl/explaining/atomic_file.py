"""The file that a page is written to: refused early if it cannot be, whole once it is there."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from frankrl.core.errors import SettingError
from frankrl.runs.disk import write_durably


def check_page_file(path: Path) -> None:
    """Refuse a place where no page can be written; nothing is left there.

    Raises:
        SettingError: its folder is missing or cannot be written, or something other than
            an ordinary file has its name.
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
    """Write a page, in place of the file that has its name.

    Raises:
        SettingError: it cannot be written; then the file that was there stays.
    """
    with _temporary(path) as temporary:
        # A path that is not UTF-8 stands on the page as it does on a terminal.
        write_durably(temporary, page.encode("utf-8", "backslashreplace"))
        temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A file beside another; it does not stay, and what goes wrong is told of the other."""
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
