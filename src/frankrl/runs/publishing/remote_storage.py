"""Shared storage in an object store, opened by fsspec."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from frankrl.core.errors import DamagedError
from frankrl.runs.publishing.storage import Storage


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
            raise self.failure("read", name, error) from error
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
            raise self.failure("read", folder, error) from error
        return sorted(
            entry["name"].rpartition("/")[2] for entry in found if entry["type"] == "file"
        )

    def put(self, name: str, content: bytes) -> None:
        """See `Storage.put`."""
        try:
            self._files.pipe_file(self._path(name), content)
        except Exception as error:
            raise self.failure("written", name, error) from error

    def put_file(self, name: str, path: Path) -> None:
        """See `Storage.put_file`."""
        try:
            self._files.put_file(str(path), self._path(name))
        except Exception as error:
            raise self.failure("written", name, error) from error

    def create(self, name: str, content: bytes) -> bool:
        """See `Storage.create`."""
        try:
            with self._creating:
                self._files.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self.failure("written", name, error) from error
        return True

    def delete(self, name: str) -> None:
        """See `Storage.delete`."""
        try:
            self._files.rm_file(self._path(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self.failure("removed", name, error) from error

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[IO[bytes]]:
        try:
            file = self._files.open(self._path(name), "rb")
        except FileNotFoundError as error:
            raise DamagedError(f"{self.address}/{name} is missing") from error
        except Exception as error:
            raise self.failure("read", name, error) from error
        with file:
            yield file

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
