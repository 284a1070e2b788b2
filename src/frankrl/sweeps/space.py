"""What a sweep searches: for each setting a range of numbers, or choices."""

import dataclasses
import itertools
import json
import math
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from frankrl.config import Settings, group_of
from frankrl.config.groups import GROUPS
from frankrl.config.known_names import BY_NAME
from frankrl.config.names import code_among
from frankrl.core.errors import DamagedError, FrankError, SettingError, nearest
from frankrl.core.text import given, shown
from frankrl.runs import read_regular

_MAX_BYTES = 1 << 20
MAX_CHOICES = 1_000
_MAX_CORNERS = 512
_MAX_STEPS = 1_000_000
_LARGEST_STEP = 1e15
"""Above, the numbers of a float are not all there any more."""
_OF_RANGE = ("low", "high", "log", "step")
_OF_CHOICES = ("choices",)
_NOT_SEARCHED = (
    "log",
    "info_metrics",
    "worker_processes",
    "device",
    "replay_device",
    "keep_checkpoints",
)
"""Settings that decide nothing about how well a run learns."""
_EXAMPLE = "low and high, or choices"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    log: bool = False
    """Whether equal ratios are equally likely, instead of equal differences."""
    step: float | None = None
    """Difference between two values; None: 1 for whole numbers, any for others."""

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are in it."""
        return isinstance(self.low, int)

    def to_table(self) -> dict[str, Any]:
        """The range as plain data."""
        table: dict[str, Any] = {"low": self.low, "high": self.high, "log": self.log}
        return table if self.step is None else table | {"step": self.step}

    def ends(self) -> list[Any]:
        """Its smallest and its largest value."""
        return [self.low, self.high]

    def count(self) -> int | None:
        """How many values are in it; None: endlessly many."""
        if self.is_whole:
            return int(self.high - self.low) // int(self.step or 1) + 1
        return None if self.step is None else self._steps() + 1

    def at(self, index: int) -> Any:
        """One of the values that can be counted, from 0."""
        if self.is_whole:
            return int(self.low + index * (self.step or 1))
        return float(Decimal(str(self.low)) + index * Decimal(str(self.step)))

    def holds(self, value: Any) -> bool:
        """Whether a value, which may come from anyone, lies in it; rounded ends do."""
        if type(value) is not (int if self.is_whole else float):
            return False
        ends = (self.low, self.high)
        return self.low <= value <= self.high or any(math.isclose(value, end) for end in ends)

    def _steps(self) -> int:
        """How many steps lie between the ends."""
        assert self.step is not None
        span = Decimal(str(self.high)) - Decimal(str(self.low))
        return int(span // Decimal(str(self.step)))

    def check(self, name: str) -> None:
        """Refuse a range that is empty or contradicts itself.

        Raises:
            SettingError: it is or does.
        """
        if self.low > self.high:
            raise SettingError(
                f"{name} goes from low {self.low} to high {self.high}, which is empty: "
                "low must be at most high"
            )
        if self.log and self.low <= 0:
            raise SettingError(f"{name} has log, so low must be above 0, got {self.low}")
        if self.log and self.step is not None:
            raise SettingError(f"{name} has log and step: give one of them, or choices")
        if self.step is None:
            return
        if self.step <= 0:
            raise SettingError(f"the step of {name} must be above 0, got {self.step}")
        if (self.high - self.low) / _MAX_STEPS > self.step:
            raise SettingError(
                f"the step of {name} is {self.step}, so there are more than {_MAX_STEPS:,} values "
                "to search: leave it out to search all of them"
            )
        last = Decimal(str(self.low)) + self._steps() * Decimal(str(self.step))
        if last != Decimal(str(self.high)):
            raise SettingError(
                f"{name} does not come from {self.low} to {self.high} in steps of {self.step}: "
                f"the last one before high is {last}, so give that as high"
            )


@dataclass(frozen=True)
class Choices:
    """Single values of any type."""

    values: tuple[Any, ...]

    def to_table(self) -> dict[str, Any]:
        """The choices as plain data."""
        return {"choices": [list(v) if isinstance(v, tuple) else v for v in self.values]}

    def ends(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    def holds(self, value: Any) -> bool:
        """Whether a value, which may come from anyone, is one of them."""
        text = json.dumps(value)
        return any(json.dumps(choice) == text for choice in self.values)

    def count(self) -> int:
        """How many they are."""
        return len(self.values)

    def at(self, index: int) -> Any:
        """One of them, from 0."""
        return self.values[index]


Axis = Range | Choices
Space = dict[str, Axis]
"""By the setting's short name, in the order of the file."""


def is_point(space: Space, settings: Mapping[str, Any]) -> bool:
    """Whether settings, which may come from anyone, are the searched ones, with allowed values."""
    return set(settings) == set(space) and all(
        axis.holds(settings[name]) for name, axis in space.items()
    )


def load_space(path: Path) -> Space:
    """The space in a TOML file.

    Raises:
        SettingError: there is no such file, or it holds no space.
    """
    try:
        tables = tomllib.loads(read_regular(path, _MAX_BYTES).decode())
    except (DamagedError, FrankError) as error:
        reason = "there is no such file" if not path.exists() else str(error)
        raise SettingError(f"the space {path} cannot be read: {reason}") from error
    except (ValueError, RecursionError) as error:
        raise SettingError(f"the space {path} is not valid TOML: {error}") from error
    try:
        return space_of(tables)
    except SettingError as error:
        raise SettingError(f"the space {path}: {error}") from error


def space_of(tables: Mapping[str, Any]) -> Space:
    """The space in plain tables, one for each setting.

    Raises:
        SettingError: a setting does not exist, or what is to be searched is not allowed.
    """
    if not isinstance(tables, Mapping):
        raise SettingError(
            f"a space must have a table for each setting, such as "
            f"{{'gamma': {{'low': 0.9, 'high': 0.999}}}}, got {given(tables)}"
        )
    if not tables:
        raise SettingError(
            f"it names no settings: give a table for each one to search, with {_EXAMPLE}"
        )
    return {name: _axis(name, table) for name, table in tables.items()}


def _axis(name: str, table: Any) -> Axis:
    _check_name(name)
    if not isinstance(table, Mapping):
        raise SettingError(f"[{name}] must be a table with {_EXAMPLE}, got {given(table)}")
    for key in table:
        if key not in _OF_RANGE + _OF_CHOICES:
            allowed = _OF_RANGE + _OF_CHOICES
            raise SettingError(
                f"[{name}] cannot have {shown(key)}{nearest(str(key), allowed)} "
                f"(allowed: {', '.join(allowed)})"
            )
    if "choices" in table:
        if len(table) > 1:
            raise SettingError(f"[{name}] must have choices alone, or low and high")
        return _choices(name, table["choices"])
    if "low" not in table or "high" not in table:
        raise SettingError(f"[{name}] must have {_EXAMPLE}")
    return _range(name, table)


def _check_name(name: str) -> None:
    if name in BY_NAME and BY_NAME[name].settings:
        ours = " and ".join(BY_NAME[name].settings)
        raise SettingError(f"{name} is Frank's {ours}: search that")
    group_of(name)
    if name in _NOT_SEARCHED:
        raise SettingError(
            f"{name} cannot be searched, because it does not change what is learned: give its "
            "flag, which fixes it for all trials"
        )
    if _kind_of(name) is dict:
        raise SettingError(
            f"{name} cannot be searched, because its values are tables: give its flag, which "
            "fixes it for all trials"
        )


def _kind_of(name: str) -> Any:
    """The type of a setting's values, but for none."""
    hint = typing.get_type_hints(GROUPS[group_of(name)])[name]
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    is_union = len(kinds) < len(typing.get_args(hint))
    kind = kinds[0] if is_union or not typing.get_origin(hint) else hint
    return typing.get_origin(kind) or kind


def _range(name: str, table: Mapping[str, Any]) -> Range:
    kind = _kind_of(name)
    if kind not in (int, float):
        raise SettingError(f"{name} is no number, so it has no low and high: give choices")
    if not isinstance(log := table.get("log", False), bool):
        raise SettingError(f"the log of {name} must be true or false, got {given(log)}")
    step = table.get("step")
    if step is not None:
        is_number = isinstance(step, (int, float)) and not isinstance(step, bool)
        if not is_number or not abs(step) < _LARGEST_STEP or (kind is int and step != int(step)):
            what = "a whole number" if kind is int else "a number"
            raise SettingError(f"the step of {name} must be {what}, got {given(step)}")
        step = kind(step)
    ends = [checked_value(name, table[end]) for end in ("low", "high")]
    if None in ends:
        raise SettingError(f"low and high of {name} must be numbers; none is a value for choices")
    found = Range(ends[0], ends[1], log, step)
    found.check(name)
    return found


def _choices(name: str, values: Any) -> Choices:
    if not isinstance(values, (list, tuple)) or not values:
        raise SettingError(f"the choices of {name} must be a list of values, got {given(values)}")
    if len(values) > MAX_CHOICES:
        raise SettingError(
            f"{name} has {len(values):,} choices, at most {MAX_CHOICES:,} are allowed"
        )
    checked = [checked_value(name, value) for value in values]
    for number, value in enumerate(checked):
        if value in checked[:number]:
            raise SettingError(f"the choices of {name} have {given(value)} twice")
        if code := code_among({name: value}):
            raise SettingError(
                f"the choices of {name} name code ({', '.join(map(shown, code))}), and no file may "
                "decide what is imported: give it by its flag, which fixes it for all trials"
            )
    return Choices(tuple(checked))


def checked_value(name: str, value: Any) -> Any:
    """A setting's value in its own type, by its declaration alone.

    Raises:
        SettingError: its type or range is not allowed.
    """
    return getattr(dataclasses.replace(GROUPS[group_of(name)](), **{name: value}), name)


def check_fits(space: Space, base: Settings, fixed: Mapping[str, Any]) -> None:
    """Refuse a space of which no trial could begin.

    Args:
        space: the space.
        base: the settings of every trial, before its own.
        fixed: those that were given, by name.

    Raises:
        SettingError: a setting is fixed and searched, or every combination of ends and choices
            is refused; the message is that of the first one. Where there are very many
            combinations, none is tried.
    """
    both = [name for name in space if name in fixed]
    if both:
        raise SettingError(
            f"{', '.join(both)} cannot be fixed and searched at the same time: take the flag or "
            "the table of the space away"
        )
    if math.prod(len(axis.ends()) for axis in space.values()) > _MAX_CORNERS:
        return
    first: SettingError | None = None
    for corner in itertools.product(*(axis.ends() for axis in space.values())):
        try:
            base.with_changes(**dict(zip(space, corner, strict=True)))
            return
        except SettingError as error:
            first = first or error
    raise SettingError(f"no trial of this space could begin: {first}")
