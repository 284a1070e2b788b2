"""The mark by which a user's own Frank knows the run folders that it wrote.

A run folder names code: its environment may be `module:EnvId`. The mark is a keyed hash of those
names. Its key lies in the user's state folder and never in a run, so nobody else can make it.
"""

import contextlib
import hmac
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from frankrl.core import system

_VARIABLE = "XDG_STATE_HOME"
"""With it the user may name another folder for what programs keep."""
_KEY_BYTES = 32
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


def mark_of(names: Any) -> str:
    """The mark of the names in a run folder; empty if no key can be kept.

    Args:
        names: JSON data.
    """
    key = _key(make=True)
    return "" if key is None else _hash(key, names)


def is_own(mark: str, names: Any) -> bool:
    """Whether a mark is the one of these names, by this user's key."""
    key = _key(make=False)
    return key is not None and hmac.compare_digest(mark.encode(), _hash(key, names).encode())


def key_file() -> Path:
    """Where the key is kept.

    Raises:
        RuntimeError: the user has no home folder.
    """
    return system.user_folder(_VARIABLE, ".local", "state") / "frank" / "key"


def _hash(key: bytes, names: Any) -> str:
    text = json.dumps(names, sort_keys=True)
    return hmac.digest(key, text.encode(), "sha256").hex()


def _key(*, make: bool) -> bytes | None:
    """The user's key; None if there is none, or others could read it."""
    if system.IS_WINDOWS and os.environ.get(_VARIABLE):
        # Files have no mode there: a folder is private by its place alone, and this may be any.
        return None
    with contextlib.suppress(OSError, RuntimeError):
        path = key_file()
        if make and not path.exists():
            _make_key(path)
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            private = system.is_private(status)
            key = file.read(_KEY_BYTES + 1)
        if private and stat.S_ISREG(status.st_mode) and len(key) == _KEY_BYTES:
            return key
    return None


def _make_key(path: Path) -> None:
    """Make the key; if another process does so at the same time, its key stays."""
    path.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
    key = secrets.token_bytes(_KEY_BYTES)
    temporary = path.with_name(f".key.new-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        _write_new(temporary, key)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:
            # Some file systems know no links. Until the key is written there, nothing is marked.
            with contextlib.suppress(FileExistsError):
                _write_new(path, key)
    finally:
        temporary.unlink(missing_ok=True)


def _write_new(path: Path, key: bytes) -> None:
    """Write the key to the disk.

    Raises:
        FileExistsError: the file is there.
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(descriptor)
