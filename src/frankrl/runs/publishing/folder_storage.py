"""Shared storage in a folder."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from frankrl.core import system
from frankrl.core.errors import DamagedError, RunFolderError, StorageError
from frankrl.core.wording import option
from frankrl.runs.disk import flush_folder, read_regular, write_durably
from frankrl.runs.publishing.storage import PIECE_BYTES, Storage

_MISSING = (errno.ENOENT, errno.ENOTDIR)


class FolderStorage(Storage):
    """A folder that several machines may see, on NFS for example."""

    def __init__(self, root: Path) -> None:
        self.address = str(root)
        self._root = root

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See `Storage.read`."""
        try:
            return read_regular(self._place(name), most_bytes)
        except RunFolderError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _MISSING:
                return None
            if isinstance(error, DamagedError):
                raise
            raise StorageError(str(error)) from error

    def names(self, folder: str) -> list[str]:
        """See `Storage.names`."""
        try:
            with os.scandir(self._place(f"{folder}/")) as entries:
                return sorted(entry.name for entry in entries if not entry.is_dir())
        except OSError as error:
            if error.errno in _MISSING:
                return []
            raise self.failure("read", folder, error) from error

    def put(self, name: str, content: bytes) -> None:
        """See `Storage.put`."""
        with self._temporary(name) as (temporary, path):
            write_durably(temporary, content)
            system.rename(temporary, path)
            flush_folder(path.parent)

    def put_file(self, name: str, path: Path) -> None:
        """See `Storage.put_file`."""
        with self._temporary(name) as (temporary, target):
            with open(path, "rb") as source, open(temporary, "wb") as copy:
                shutil.copyfileobj(source, copy, PIECE_BYTES)
                copy.flush()
                os.fsync(copy.fileno())
            system.rename(temporary, target)
            flush_folder(target.parent)

    def create(self, name: str, content: bytes) -> bool:
        """See `Storage.create`.

        By a hard link, which appears with its whole content. Where there are no links the file is
        opened exclusively and then written, so a process that dies there leaves a part of it.
        """
        with self._temporary(name) as (temporary, path):
            write_durably(temporary, content)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:
                return self._create_in_place(path, content)
            flush_folder(path.parent)
            return True

    def _create_in_place(self, path: Path, content: bytes) -> bool:
        try:
            descriptor = system.open_no_link(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        flush_folder(path.parent)
        return True

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        try:
            self._place(name).unlink(missing_ok=True)
        except OSError as error:
            raise self.failure("removed", name, error) from error

    @contextlib.contextmanager
    def _temporary(self, name: str) -> Iterator[tuple[Path, Path]]:
        """A name beside a file for its new content, and the file; what is left is removed."""
        path = self._place(name)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary, path
        except OSError as error:
            raise self.failure("written", name, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        path = self._place(name)
        try:
            descriptor = system.open_no_link(path, os.O_RDONLY)
        except OSError as error:
            if error.errno in (*_MISSING, errno.ELOOP):
                raise DamagedError(f"{path} is missing") from error
            raise self.failure("read", name, error) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DamagedError(f"{path} is damaged: it is no ordinary file")
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def _place(self, name: str) -> Path:
        """Where a file lies; a name that ends with `/` is a folder's.

        Raises:
            StorageError: a folder below the address is a link, which somebody else may have made.
        """
        *folders, _ = name.split("/")
        for count in range(1, len(folders) + 1):
            folder = self._root.joinpath(*folders[:count])
            if folder.is_symlink():
                raise StorageError(
                    f"{folder} is a link, and what others write may lead anywhere: Frank follows "
                    f"no link below {option('publish')}; put the folder itself there"
                )
        return self._root / name
