"""Files of a run: written so that they are whole or not there, read so that nothing is trusted."""

import os
import stat
from pathlib import Path

from frankrl.errors import DamagedError

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file, and return once the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Return once the disk has the names of a folder's entries."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Put another content in a file's place; a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.new")
    write_durably(temporary, content)
    temporary.replace(path)
    flush_folder(path.parent)


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a file of a run folder, which anyone may have made.

    Raises:
        DamagedError: it is missing, larger than it can be, a link or no file at all.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_LINK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise DamagedError(f"{path} is damaged: it is no ordinary file")
            if found.st_size > most_bytes:
                raise DamagedError(
                    f"{path} is damaged: it has {found.st_size:,} bytes, "
                    f"at most {most_bytes:,} can be right"
                )
            return file.read(most_bytes)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error
