"""A file for people or other programs: checked before the work starts, replaced in one step."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from frankrl.core import system
from frankrl.core.errors import SettingError
from frankrl.runs.disk import write_durably


def check_writable(path: Path, option: str, example: str) -> None:
    """Check that a file can be written to a path; the check leaves no file behind.

    Args:
        path: the path.
        option: the option that named it, for messages.
        example: a file's name, for messages.

    Raises:
        SettingError: the folder is missing or not writable, or the path names something
            other than an ordinary file.
    """
    with _temporary(path, option) as temporary:
        if path.is_dir():
            instead = path / example
            raise SettingError(f"{option} {path} is a folder: name a file in it, such as {instead}")
        if path.exists() and not path.is_file():
            raise SettingError(f"{option} {path} is no ordinary file: name another one")
        if not path.parent.is_dir():
            raise SettingError(
                f"{option} {path} lies in no folder: make {path.parent} first, or name another file"
            )
        write_durably(temporary, b"")


def write_whole(path: Path, content: bytes, option: str) -> None:
    """Write a file and replace any file of that name.

    Args:
        path: the path.
        content: all that the file will hold.
        option: the option that named it, for messages.

    Raises:
        SettingError: the file cannot be written; an existing one is then unchanged.
    """
    with _temporary(path, option) as temporary:
        write_durably(temporary, content)
        system.rename(temporary, path)


@contextlib.contextmanager
def _temporary(path: Path, option: str) -> Iterator[Path]:
    """A temporary file in the same folder; errors name the final path, and the file is removed."""
    if not path.name:
        raise SettingError(f"{option} {path} is a folder: name a file in it")
    temporary = path.with_name(f".{path.stem}.new-{os.getpid()}{path.suffix}")
    try:
        yield temporary
    except OSError as error:
        raise SettingError(
            f"{option} {path} cannot be written: {error.strerror or error}; name another file"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
