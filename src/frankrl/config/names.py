"""Every setting by its short name, with its declaration and its description in the source."""

import ast
import dataclasses
import functools
import inspect
import itertools
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from frankrl.config.choices import Choice, conditions, shown
from frankrl.config.groups import GROUPS
from frankrl.core.errors import SettingError, nearest
from frankrl.core.named_code import is_code, name_of


class Declared(NamedTuple):
    """The declaration of a setting."""

    group: str
    default: Any
    is_optional: bool
    """Whether it can be off."""
    belongs_to: tuple[Choice, ...]
    """Choices of which one must be made, or the setting is idle; empty: it is never idle."""
    names_code: bool
    """Whether its value may name code to import."""


def _declared() -> dict[str, Declared]:
    found = {}
    for group, kind in GROUPS.items():
        defaults, hints = kind(), typing.get_type_hints(kind)
        for spec in dataclasses.fields(kind):
            found[spec.name] = Declared(
                group,
                getattr(defaults, spec.name),
                type(None) in typing.get_args(hints[spec.name]),
                spec.metadata.get("belongs_to", ()),
                spec.metadata.get("names_code", False),
            )
    return found


DECLARED: dict[str, Declared] = _declared()
"""All settings, in order of declaration."""


def setting_names() -> tuple[str, ...]:
    """Short names of all settings, in order of declaration."""
    return tuple(DECLARED)


def switches() -> dict[str, tuple[str, ...]]:
    """The settings that are true, false or another word, by short name with all their words."""
    hints = {group: typing.get_type_hints(kind) for group, kind in GROUPS.items()}
    values = {name: typing.get_args(hints[one.group][name]) for name, one in DECLARED.items()}
    return {name: tuple(map(shown, found)) for name, found in values.items() if True in found}


def optional_setting_names() -> tuple[str, ...]:
    """Short names of the settings that can be off."""
    return tuple(name for name, declared in DECLARED.items() if declared.is_optional)


def group_of(name: str) -> str:
    """The group that a setting belongs to.

    Raises:
        SettingError: there is no such setting; the message names the nearest one.
    """
    if name not in DECLARED:
        raise SettingError(
            f"unknown setting {name!r}{nearest(name, DECLARED)} "
            f"(`frank train --help-all` lists all settings)"
        )
    return DECLARED[name].group


def meaning_of(name: str) -> str:
    """The description of a setting from the source, with its unit in brackets.

    Raises:
        SettingError: there is no such setting.
    """
    return _meanings(GROUPS[group_of(name)])[name]


def condition_of(name: str) -> str:
    """The choice with which a setting has an effect, in words; empty: it always has one.

    Raises:
        SettingError: there is no such setting.
    """
    group_of(name)
    return conditions(DECLARED[name].belongs_to)


def names_code(name: str) -> bool:
    """Whether a setting may name code to import.

    Raises:
        SettingError: there is no such setting.
    """
    group_of(name)
    return DECLARED[name].names_code


def code_among(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The code, `module:attribute`, that the values of some settings name.

    Args:
        values: values of settings by their short names; other names are passed over.
    """
    found = []
    for name, value in values.items():
        if value is not None and name in DECLARED and DECLARED[name].names_code:
            found += value if isinstance(value, (list, tuple)) else [value]
    return tuple(name for code in found if is_code(name := name_of(code)))


@functools.cache
def _meanings(kind: type) -> dict[str, str]:
    """The text under each field of a class."""
    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(inspect.cleandoc(ast.literal_eval(text.value)).split())
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
    }


def check_code_names(code: Mapping[str, Any]) -> None:
    """Refuse other arguments than code that is given again by the name of its setting.

    Raises:
        SettingError: a name is that of another setting, or of none.
    """
    for name in code:
        if not names_code(name):
            raise SettingError(
                f"{name} cannot be given here: only objects that the run was made from, by the "
                "names of their settings, such as wrappers"
            )
