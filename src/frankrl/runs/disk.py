"""Files of a run: written completely or not at all, and read without trusting them."""

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

from frankrl.core import system
from frankrl.core.errors import DamagedError, RunFolderError

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO)


def write_durably(path: Path, content: bytes) -> None:
    """Write a new file, and return once it is on the disk.

    It replaces an existing file; a link is replaced itself, not its target.
    """
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Return once the names of a folder's entries are on the disk."""
    system.flush(folder)


def flush_file(path: Path) -> None:
    """Return once everything written to a file, by any process, is on the disk."""
    system.flush(path)


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a file; a reader sees either the complete old content or the complete new one."""
    temporary = path.with_name(f".{path.name}.new")
    write_durably(temporary, content)
    system.rename(temporary, path)
    flush_folder(path.parent)


def refuse_shared(path: Path) -> None:
    """Refuse to append to a file that has another name, too: that would change another run.

    Raises:
        RunFolderError: the file is a link, has several names, or is no ordinary file.
    """
    try:
        status = path.lstat()
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise RunFolderError(f"{path} is no ordinary file; everything of a run lies in its folder")
    if status.st_nlink > 1:
        raise RunFolderError(
            f"{path} has {status.st_nlink} names (hard links), so writing it would change another "
            f"run as well: copy the run without links, as by cp -a"
        )


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The content of a file of a run folder, which may come from anyone.

    Raises:
        DamagedError: it is missing, too large, a link or not a regular file.
        RunFolderError: the system cannot read it now; it may be intact.
    """
    try:
        descriptor = system.open_no_link(path, os.O_RDONLY)
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
        kind = DamagedError if error.errno in _NOT_THERE else RunFolderError
        raise kind(f"{path} cannot be read: {error.strerror}") from error


def entry_of(path: Path) -> dict[str, Any]:
    """Size and hash of a file, as a manifest says them: `bytes` and `sha256`.

    Raises:
        OSError: it is a link, or cannot be read.
    """
    with os.fdopen(system.open_no_link(path, os.O_RDONLY), "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}
