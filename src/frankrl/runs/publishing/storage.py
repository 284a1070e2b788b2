"""Shared storage: what a folder and an address that fsspec opens have in common.

All that is asked of it is to read, to list, to delete, to replace a file as a whole, and to create
one that is not there yet. No locks, no log of SQLite's, no renaming across folders.
"""

import abc
import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import IO, Any

from frankrl.core.errors import DamagedError, StorageError
from frankrl.core.text import shown
from frankrl.core.wording import option

PIECE_BYTES = 1 << 22
"""Read and written at once."""


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
            return source.read(PIECE_BYTES)
        except Exception as error:
            raise self.failure("read", name, error) from error

    def failure(self, verb: str, name: str, error: Exception) -> StorageError:
        """What to raise where the storage has failed."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return StorageError(f"{self.address}/{name} cannot be {verb}: {shown(reason, 500)}")
