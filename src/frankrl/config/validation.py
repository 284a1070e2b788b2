"""Frozen records that check type and range of every field when they are made."""

import dataclasses
import functools
import json
import math
import numbers
import sys
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from frankrl.config.choices import NONE, Choice, shown
from frankrl.core.errors import SettingError, nearest
from frankrl.core.named_code import check_name
from frankrl.core.text import given


def number(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    belongs_to: Choice | tuple[Choice, ...] = (),
) -> Any:
    """A numeric field, or a list of numbers, with the allowed range of each number.

    Args:
        default: default value.
        at_least: smallest allowed value.
        above: exclusive lower bound.
        at_most: largest allowed value.
        belongs_to: choices of which one must be made for the field to have an effect.
    """
    bounds = {"at_least": at_least, "above": above, "at_most": at_most}
    return field(default=default, metadata=bounds | _belonging(belongs_to))


def option(default: Any, *, belongs_to: Choice | tuple[Choice, ...]) -> Any:
    """A field with named values or a boolean that has an effect only if a choice is made."""
    return field(default=default, metadata=_belonging(belongs_to))


def code(
    default: Any, *, among: tuple[str, ...] = (), belongs_to: Choice | tuple[Choice, ...] = ()
) -> Any:
    """A field that names code, `module:attribute`, or a list of such names.

    Args:
        default: default value.
        among: words that are allowed besides.
        belongs_to: choices of which one must be made for the field to have an effect.
    """
    return field(
        default=default, metadata={"names_code": True, "among": among} | _belonging(belongs_to)
    )


def _belonging(choices: Choice | tuple[Choice, ...]) -> dict[str, tuple[Choice, ...]]:
    return {"belongs_to": (choices,) if isinstance(choices, Choice) else choices}


@dataclass(frozen=True)
class Checked:
    """Checks type and range of every field when a settings record is made."""

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            try:
                value = _coerced(spec, _plain(getattr(self, spec.name)), type(self))
                _check_range(spec, value)
            except OverflowError as error:
                raise SettingError(
                    f"{spec.name} must be finite, and that number is beyond all floats"
                ) from error
            object.__setattr__(self, spec.name, value)


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's lists and numbers."""
    numpy = sys.modules.get("numpy")  # without it there is no value of its types
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return value.tolist()
    return value


def _coerced(spec: dataclasses.Field, value: Any, owner: type) -> Any:
    """The value in the field's own type; whole numbers may stand for floats and vice versa."""
    wanted = _types(owner)[spec.name]
    options = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    is_none = value is None or (isinstance(value, str) and value == NONE)
    if is_none and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    if typing.get_origin(kind) is Literal:
        allowed = typing.get_args(kind)
        if isinstance(value, str | bool) and value in allowed:
            return value
        words = [shown(one) for one in allowed]
        hint = nearest(value, words) if isinstance(value, str) else ""
        raise SettingError(
            f"{spec.name} must be one of {', '.join(words)}, got {given(value)}{hint}"
        )
    names_code = spec.metadata.get("names_code", False)
    if typing.get_origin(kind) is tuple:
        return _items(spec, typing.get_args(kind)[0], value, names_code=names_code)
    if names_code:
        return check_name(value, spec.name, spec.metadata["among"])
    if typing.get_origin(kind) is dict:
        return _json_object(spec.name, value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    if kind is int and _is_whole(value):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    raise SettingError(f"{spec.name} must be {names[kind]}, got {given(value)}")


def _items(spec: dataclasses.Field, kind: type, value: Any, *, names_code: bool) -> tuple[Any, ...]:
    """The values of a list; a single one may stand for a list of texts."""
    if kind is str and not isinstance(value, (list, tuple)):
        value = (value,)
    if isinstance(value, (list, tuple)):
        if names_code:
            return tuple(check_name(item, spec.name, spec.metadata["among"]) for item in value)
        if kind is str and all(isinstance(item, str) for item in value):
            return tuple(value)
        if kind is int and all(_is_whole(item) for item in map(_plain, value)):
            return tuple(int(item) for item in value)
    wanted = "texts" if kind is str else "whole numbers"
    raise SettingError(f"{spec.name} must be a list of {wanted}, got {given(value)}")


@functools.cache
def _types(owner: type) -> dict[str, Any]:
    return typing.get_type_hints(owner)


def _json_object(name: str, value: Any) -> dict[str, Any]:
    """A table of plain values, also given as the text of a JSON object."""
    try:
        table = json.loads(value) if isinstance(value, str) else value
        if isinstance(table, dict) and json.loads(json.dumps(table, allow_nan=False)) == table:
            return dict(table)
    except (ValueError, TypeError, RecursionError):
        pass
    raise SettingError(
        f"{name} must be a table or JSON object of numbers, text, true, false, null, lists and "
        f"such tables, got {given(value)}"
    )


def _is_whole(value: Any) -> TypeGuard[int | float]:
    if isinstance(value, bool):
        return False
    return isinstance(value, numbers.Integral) or (
        isinstance(value, numbers.Real) and float(value).is_integer()
    )


def _check_range(spec: dataclasses.Field, value: Any) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, (str, bool, dict)) or item is None:
            continue
        at_least, above, at_most = (spec.metadata.get(k) for k in ("at_least", "above", "at_most"))
        wanted = []
        if not math.isfinite(item):
            wanted.append("finite")
        if at_least is not None and item < at_least:
            wanted.append(f"at least {at_least}")
        if above is not None and item <= above:
            wanted.append(f"greater than {above}")
        if at_most is not None and item > at_most:
            wanted.append(f"at most {at_most}")
        if wanted:
            raise SettingError(f"{spec.name} must be {' and '.join(wanted)}, got {item}")
