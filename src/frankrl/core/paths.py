"""Paths that people give."""

import errno
import os
from pathlib import Path

from frankrl.core.errors import SettingError
from frankrl.core.text import given, shown

_MAX_NAME_BYTES = 255
"""Of a file's name, on every usual file system; found out only once the folders around it exist."""
_NEVER_A_PATH = (errno.ELOOP, errno.ENAMETOOLONG)


def given_path(value: object, name: str) -> Path:
    """A path that a person gave, with `~` and `~user` expanded; it need not exist.

    Args:
        value: what was given.
        name: what it is, for the message.

    Raises:
        SettingError: it is no path, or can never lead anywhere.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text:
        raise SettingError(f"{name} must be a path, as text or a pathlib.Path, got {given(value)}")
    path = _expanded(text, name)
    try:
        if any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in path.parts):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        os.stat(path)
    except ValueError as error:
        raise SettingError(f"{name} {shown(text)} is no path: {error}") from None
    except OSError as error:
        if error.errno in _NEVER_A_PATH:
            reason = (error.strerror or str(error)).lower()
            raise SettingError(f"{name} {shown(text)} leads nowhere: {reason}") from None
    return path


def _expanded(text: str, name: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = Path(text).parts[0]
        raise SettingError(
            f"{name} {shown(text)} leads nowhere: {shown(user)} is no user with a home folder"
        ) from None
