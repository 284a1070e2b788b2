"""Frank's errors, in one small hierarchy.

Every message names what was given, what is allowed and what to do. The command line prints it
on one line, without a traceback, and exits with status 2.
"""

import difflib
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any

from frankrl.core.text import MAX_MESSAGE, given, shown

_MAX_COMPARED = 100
"""Characters of a word that is compared with allowed ones, which takes long for a long one."""

_ALIKE = 0.65
"""How alike two words must be for one to be suggested for the other, as `difflib` measures it."""


class FrankError(Exception):
    """Base of every error that Frank raises on purpose.

    A message may quote files and environments; it becomes one line that a terminal can show.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message, MAX_MESSAGE))


class SettingError(FrankError):
    """A setting has an unknown name, a wrong type or a value out of range."""


class MachineError(SettingError):
    """The settings ask for more than this machine has now; another one may have it."""


class EnvironmentUnusableError(FrankError):
    """The environment does not exist, cannot be made or has unsupported spaces."""


class EnvironmentFailedError(FrankError):
    """An environment raised or returned something impossible while it was stepped."""


class ActorsLostError(FrankError):
    """What steps environments elsewhere was lost, and nothing can take its place."""


class DivergedError(FrankError):
    """A loss, gradient or weight stopped being a finite number."""


class RunFolderError(FrankError):
    """A run folder is missing, already there, damaged or of another environment."""


class DamagedError(RunFolderError):
    """A file of a run is missing, or differs from what was written."""

    def __init__(self, message: str, checkpoint: Path | None = None) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint
        """The checkpoint that the file belongs to, if any."""


class HubError(FrankError):
    """The Hub cannot be reached, refuses a request, or holds something that is no run."""


class StorageError(FrankError):
    """Shared storage cannot be reached, or holds something other than a published run."""


class SupersededError(FrankError):
    """Another process has taken a published run over, so this one publishes nothing more."""


class FrankWarning(UserWarning):
    """Something that the user should know and that does not stop Frank."""


class MissingExtraError(FrankError):
    """A feature needs an optional package that is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed; "
            # Double quotes, because a Windows shell takes single ones for a part of the name.
            f'install it with: pip install "frankrl[{extra}]"'
        )


def warn(message: str) -> None:
    """Issue a `FrankWarning`; the command line prints it as one line on standard error."""
    warnings.warn(shown(message, MAX_MESSAGE), FrankWarning, stacklevel=2)


def check_type(value: Any, name: str, kind: type | UnionType, wanted: str) -> None:
    """Refuse an argument of another type.

    Args:
        value: the argument.
        name: its name.
        kind: the type that it must have.
        wanted: what is allowed, in words.

    Raises:
        SettingError: it has another type.
    """
    if not isinstance(value, kind):
        raise SettingError(f"{name} must be {wanted}, got {given(value)}")


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A hint naming the allowed word most like the given one, or an empty string."""
    if len(word) > _MAX_COMPARED:
        return ""
    folded = {word.lower(): word for word in allowed}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=_ALIKE)
    return f"; did you mean {folded[found[0]]!r}?" if found else ""
