"""Shared storage: a folder, or an address that fsspec opens.

All that is asked of it is to read, to list, to delete, to replace a file as a whole, and to create
one that is not there yet. No locks, no log of SQLite's, no renaming across folders.
"""

import abc
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from frankrl.core.errors import DamagedError, MissingExtraError, RunFolderError, StorageError
from frankrl.core.paths import given_path
from frankrl.core.text import given, shown
from frankrl.core.wording import option
from frankrl.runs.disk import NO_LINK, flush_folder, read_regular, write_durably

_PACKAGES = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "memory": ("fsspec", "remote-storage"),
}
"""Protocols whose stores create a file only if there is none, in one step; the package behind each,
and the extra that installs it."""
_PIECE_BYTES = 1 << 22
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class Storage(abc.ABC):
    """Files by name below one address; a name's parts are joined by `/`."""

    address: str
    """As messages name it."""

    @abc.abstractmethod
    def read(self, name: str, most_bytes: int) -> bytes | None:
        """The content of a file; None if there is none.

        Raises:
            DamagedError: it is larger than allowed, or no ordinary file.
            StorageError: the storage cannot be reached.
        """

    @abc.abstractmethod
    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none if there is no such folder.

        Raises:
            StorageError: the storage cannot be reached.
        """

    @abc.abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Write a file, or replace it; readers see the old content or the new one.

        Raises:
            StorageError: it cannot be written.
        """

    @abc.abstractmethod
    def put_file(self, name: str, path: Path) -> None:
        """Write a file, or replace it, with the content of one on this machine's disk.

        Raises:
            StorageError: it cannot be written.
        """

    @abc.abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; false if there is one.

        Of any number of callers on any machines, one at most gets true. A caller that gets false
        may still have written it, where the answer of the storage was lost: compare the content.

        Raises:
            StorageError: it cannot be written.
        """

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file, if there is one.

        Raises:
            StorageError: it cannot be removed.
        """

    def check_exclusive(self) -> None:
        """Refuse a store that replaces what it was told to create, as some that speak S3 do.

        Raises:
            StorageError: it does, or it cannot be written.
        """
        name = f"probe-{secrets.token_hex(8)}"
        try:
            self.create(name, b"first")
            if self.create(name, b"second"):
                raise StorageError(
                    f"the store of {self.address} overwrites a file that it was to create, so two "
                    f"processes could write one run: choose another {option('publish')}"
                )
        finally:
            self.delete(name)

    @abc.abstractmethod
    def _opened(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file, opened for reading."""

    def get_file(self, name: str, path: Path, entry: dict[str, Any]) -> None:
        """Copy a file to this machine's disk, and verify it.

        Args:
            name: the file.
            path: the copy, which must not exist yet.
            entry: its size and hash: `bytes` and `sha256`.

        Raises:
            DamagedError: it is missing, or has another size or hash.
            StorageError: the storage cannot be reached.
            OSError: the copy cannot be written.
        """
        digest, size = hashlib.sha256(), 0
        with self._opened(name) as source, open(path, "xb") as copy:
            while piece := self._piece(source, name):
                size += len(piece)
                if size > entry["bytes"]:
                    break
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
            raise DamagedError(
                f"{self.address}/{name} is damaged: its record says {entry['bytes']:,} bytes with "
                f"SHA-256 {entry['sha256']}"
            )

    def _piece(self, source: IO[bytes], name: str) -> bytes:
        try:
            return source.read(_PIECE_BYTES)
        except Exception as error:
            raise self._failure("read", name, error) from error

    def _failure(self, verb: str, name: str, error: Exception) -> StorageError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return StorageError(f"{self.address}/{name} cannot be {verb}: {shown(reason, 500)}")


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
            raise self._failure("read", folder, error) from error

    def put(self, name: str, content: bytes) -> None:
        """See `Storage.put`."""
        with self._temporary(name) as (temporary, path):
            write_durably(temporary, content)
            temporary.replace(path)
            flush_folder(path.parent)

    def put_file(self, name: str, path: Path) -> None:
        """See `Storage.put_file`."""
        with self._temporary(name) as (temporary, target):
            with open(path, "rb") as source, open(temporary, "wb") as copy:
                shutil.copyfileobj(source, copy, _PIECE_BYTES)
                copy.flush()
                os.fsync(copy.fileno())
            temporary.replace(target)
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
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o666)
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
            raise self._failure("removed", name, error) from error

    @contextlib.contextmanager
    def _temporary(self, name: str) -> Iterator[tuple[Path, Path]]:
        """A name beside a file for its new content, and the file; what is left is removed."""
        path = self._place(name)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary, path
        except OSError as error:
            raise self._failure("written", name, error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        path = self._place(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | NO_LINK)
        except OSError as error:
            if error.errno in (*_MISSING, errno.ELOOP):
                raise DamagedError(f"{path} is missing") from error
            raise self._failure("read", name, error) from error
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


class RemoteStorage(Storage):
    """An object store, opened by fsspec."""

    _creating = threading.Lock()
    """fsspec's own store in memory looks first and writes then."""

    def __init__(self, address: str, file_system: Any, root: str) -> None:
        self.address = address
        self._files = file_system
        self._root = root

    def read(self, name: str, most_bytes: int) -> bytes | None:
        """See `Storage.read`."""
        try:
            content = self._files.cat_file(self._path(name), start=0, end=most_bytes + 1)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failure("read", name, error) from error
        if len(content) > most_bytes:
            raise DamagedError(
                f"{self.address}/{name} is damaged: at most {most_bytes:,} bytes can be right"
            )
        return content

    def names(self, folder: str) -> list[str]:
        """See `Storage.names`."""
        try:
            # What others have written since must be seen.
            self._files.invalidate_cache()
            found = self._files.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failure("read", folder, error) from error
        return sorted(
            entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file"
        )

    def put(self, name: str, content: bytes) -> None:
        """See `Storage.put`."""
        try:
            self._files.pipe_file(self._path(name), content)
        except Exception as error:
            raise self._failure("written", name, error) from error

    def put_file(self, name: str, path: Path) -> None:
        """See `Storage.put_file`."""
        try:
            self._files.put_file(str(path), self._path(name))
        except Exception as error:
            raise self._failure("written", name, error) from error

    def create(self, name: str, content: bytes) -> bool:
        """See `Storage.create`."""
        try:
            with self._creating:
                self._files.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self._failure("written", name, error) from error
        return True

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failure("removed", name, error) from error

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            file = self._files.open(self._path(name), "rb")
        except FileNotFoundError as error:
            raise DamagedError(f"{self.address}/{name} is missing") from error
        except Exception as error:
            raise self._failure("read", name, error) from error
        with file:
            yield file

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_storage(address: str | os.PathLike[str]) -> Storage:
    """The shared storage at an address; nothing is written.

    Args:
        address: a folder, or an address such as `s3://bucket/folder`.

    Raises:
        MissingExtraError: fsspec, or the package of its protocol, is not installed.
        SettingError: it is no path.
        StorageError: the protocol is unknown, or the store cannot be opened.
    """
    protocol, separator, rest = str(address).partition("://")
    if not separator:
        return FolderStorage(given_path(address, option("publish")).absolute())
    if protocol not in _PACKAGES:
        raise StorageError(
            f"{option('publish')} takes a folder, or an address that begins with "
            f"{', '.join(f'{name}://' for name in _PACKAGES)}; got {given(str(address))}"
        )
    if not rest.strip("/"):
        raise StorageError(
            f"{address} names no place in the store: give {protocol}://BUCKET/FOLDER"
        )
    feature, (package, extra) = f"an address of {protocol}://", _PACKAGES[protocol]
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(feature, "fsspec", "remote-storage") from None
    try:
        files = fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError:
        raise MissingExtraError(feature, package, extra) from None
    except Exception as error:
        raise StorageError(f"{address} cannot be opened: {shown(error, 500)}") from error
    clean = str(address).rstrip("/")
    return RemoteStorage(clean, files, files._strip_protocol(clean))
