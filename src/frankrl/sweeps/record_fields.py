"""The fields of a record, each checked: a record may come from anyone.

Every function takes a part of the record and its name, and raises a `SettingError` that names what
is allowed.
"""

import math
from pathlib import PurePosixPath
from typing import Any

from frankrl.core.errors import SettingError
from frankrl.core.text import given, shown

MAX_ENTRIES = 1_000
"""Entries of a table or a list."""
_MAX_TEXT, _MAX_NESTING = 1_000, 4
_MAX_WHOLE = 1 << 64
"""Whole numbers in a record are smaller; a seed has 64 bits at most."""


class Fields(dict[str, Any]):
    """The fields of a record; a missing one is told by its name."""

    def __init__(self, plain: Any, what: str) -> None:
        super().__init__(as_table(plain, what))

    def __missing__(self, name: str) -> Any:
        raise SettingError(f"{name} is missing")

    def text(self, name: str) -> str:
        """A text."""
        return as_text(self[name], name)

    def whole(self, name: str) -> int:
        """A whole number from 0."""
        return as_whole(self[name], name)

    def entries(self, name: str) -> list[Any]:
        """A list of at most `MAX_ENTRIES`."""
        return as_list(self[name], name)

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        """One of some texts."""
        value = self[name]
        if value not in allowed:
            raise SettingError(f"{name} must be one of {', '.join(allowed)}, got {given(value)}")
        return value


def as_table(plain: Any, name: str) -> dict[str, Any]:
    """A table of at most `MAX_ENTRIES`."""
    if not isinstance(plain, dict) or len(plain) > MAX_ENTRIES:
        raise SettingError(f"{shown(name)} must be a table of at most {MAX_ENTRIES:,} entries")
    return plain


def as_list(plain: Any, name: str, most: int = MAX_ENTRIES) -> list[Any]:
    """A list of a bounded length."""
    if not isinstance(plain, list) or len(plain) > most:
        raise SettingError(f"{shown(name)} must be a list of at most {most:,} entries")
    return plain


def as_text(plain: Any, name: str) -> str:
    """A text of a bounded length."""
    if not isinstance(plain, str) or len(plain) > _MAX_TEXT:
        raise SettingError(f"{shown(name)} must be a text of at most {_MAX_TEXT:,} characters")
    return plain


def as_whole(plain: Any, name: str) -> int:
    """A whole number from 0."""
    if type(plain) is not int or not 0 <= plain < _MAX_WHOLE:
        raise SettingError(f"{name} must be a whole number from 0, got {given(plain)}")
    return plain


def as_number(plain: Any, name: str) -> float:
    """A finite number; a whole one stays whole."""
    if type(plain) is int and abs(plain) < _MAX_WHOLE:
        return plain
    if type(plain) is not float or not math.isfinite(plain):
        raise SettingError(f"{shown(name)} must be a finite number, got {given(plain)}")
    return plain


def as_optional(plain: Any, name: str) -> float | None:
    """A finite number, or None."""
    return None if plain is None else float(as_number(plain, name))


def as_evaluation(plain: Any) -> tuple[int, float]:
    """Env steps and mean return of an evaluation."""
    if not isinstance(plain, list) or len(plain) != 2:
        raise SettingError(f"an evaluation must be a pair of numbers, got {given(plain)}")
    return as_whole(plain[0], "env steps"), float(as_number(plain[1], "a mean return"))


def as_settings(plain: Any) -> dict[str, Any]:
    """Values of settings by name."""
    table = as_table(plain, "settings")
    return {as_text(name, "a setting"): as_value(value, name) for name, value in table.items()}


def as_value(plain: Any, name: str, nesting: int = 0) -> Any:
    """A setting's value; a list becomes a tuple."""
    if plain is None or isinstance(plain, bool):
        return plain
    if isinstance(plain, str):
        return as_text(plain, name)
    if isinstance(plain, int | float):
        return as_number(plain, name)
    if isinstance(plain, list) and nesting < _MAX_NESTING:
        return tuple(as_value(value, name, nesting + 1) for value in as_list(plain, name))
    raise SettingError(f"{shown(name)} must be a number, a text or a list, got {given(plain)}")


def as_folder(plain: Any) -> str:
    """The path of a run's folder relative to the sweep's, in which it lies."""
    text = as_text(plain, "a run")
    path = PurePosixPath(text)
    is_inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    if not is_inside or "\\" in text or not text.isprintable():
        raise SettingError(f"a run must lie in the sweep's folder, got {given(text)}")
    return text
