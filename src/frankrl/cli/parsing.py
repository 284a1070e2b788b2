"""Command lines from dataclasses, with errors on one line."""

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from frankrl.cli.output import results_stream
from frankrl.config import (
    condition_of,
    meaning_of,
    optional_setting_names,
    setting_names,
    switches,
)
from frankrl.config.choices import NONE
from frankrl.config.validation import Checked
from frankrl.core.errors import FrankError
from frankrl.display.terminal import can_redraw

Options = TypeVar("Options")
_RULES = "╭╮╰╯─-+"
OTHER_FLAGS = {
    "wrappers": "--wrapper",
    "evaluation_wrappers": "--evaluation-wrapper",
    "info_metrics": "--info-metric",
}
"""A second flag of some settings, which are lists: `--wrapper module:Wrapper` reads better."""


def parse(
    kind: type[Options],
    arguments: Sequence[str],
    command: str,
    description: str,
    default: Options | None = None,
) -> Options:
    """The options of a command.

    Args:
        kind: a dataclass; its fields become flags, nested ones without their group's name.
        arguments: what was typed after the command.
        command: its name.
        description: what it does, for `--help`.
        default: a record that holds the defaults.

    Raises:
        FrankError: what was typed is not allowed.
        SystemExit: help was asked for and has been printed.
    """
    errors = io.StringIO()
    missing = tyro.MISSING_NONPROP
    try:
        # Help is a result.
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(results_stream()):
            return tyro.cli(
                kind,
                args=_as_tyro_spells_it(arguments),
                prog=f"frank {command}",
                description=description,
                config=(tyro.conf.OmitArgPrefixes,),
                registry=_registry(),
                default=missing if default is None else default,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise FrankError(f"{_one_line(errors.getvalue())} (see `frank {command} --help`)") from None


def named_settings(arguments: Sequence[str]) -> list[str]:
    """Short names of the settings that a command line names, whatever values it gives them."""
    flags = {_flag(name): name for name in setting_names()}
    flags |= {_flag(f"no_{name}"): name for name in setting_names()}
    flags |= {flag: name for name, flag in OTHER_FLAGS.items()}
    words = (word.partition("=")[0].replace("_", "-") for word in arguments)
    return list(dict.fromkeys(flags[word] for word in words if word in flags))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _as_tyro_spells_it(arguments: Sequence[str]) -> list[str]:
    """The words typed, with `none` and switches that have a third word as tyro wants them."""
    return _switches_as_tyro_spells_them(_none_as_tyro_spells_it(arguments))


def _switches_as_tyro_spells_them(arguments: Sequence[str]) -> list[str]:
    """With `--name` and `--no-name` beside `--name auto`."""
    known = {_flag(name): allowed for name, allowed in switches().items()}
    off = {_flag(f"no_{name}"): _flag(name) for name in switches()}
    spelled = {"true": "True", "false": "False"}
    words: list[str] = []
    for word, after in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        flag, equals, value = word.partition("=")
        if flag in known and equals:
            word = f"{flag}={spelled.get(value, value)}"
        elif words and words[-1] in known:
            word = spelled.get(word, word)
        elif word in off or (word in known and after not in known[word]):
            word = f"{off.get(word, word)}={word not in off}"
        words.append(word)
    return words


def _none_as_tyro_spells_it(arguments: Sequence[str]) -> list[str]:
    """The words typed, with an optional setting's `none` as tyro wants it."""
    names = optional_setting_names()
    flags = {_flag(name) for name in names} | {OTHER_FLAGS[n] for n in names if n in OTHER_FLAGS}
    words = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        flag, equals, value = word.partition("=")
        if before in flags and word == NONE:
            word = "None"
        elif equals and flag in flags and value == NONE:
            word = f"{flag}=None"
        words.append(word)
    return words


def _one_line(box: str) -> str:
    """The message inside the box that tyro draws, and its first suggestion."""
    sections: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:  # the first is the box's title
        text = line.strip("│| ")
        if set(text) <= set(_RULES):
            sections.append([])
        else:
            sections[-1].append(text)
    sections = [section for section in sections if section]
    message = " ".join(sections[0]) if sections else " ".join(box.split())
    for section in sections[1:]:
        flags = [line for line in section[1:] if line.startswith("--")]
        if section[0].startswith("Perhaps you meant") and flags:
            return f"{message}; did you mean {flags[0]}?"
    return message


def _registry() -> tyro.constructors.ConstructorRegistry:
    """How tyro reads the kinds of settings that it does not know."""
    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(_json_object)
    registry.primitive_rule(_whole_number)
    registry.struct_rule(_settings_group)
    return registry


def _json_object(info: Any) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """A setting that is a dict: one JSON object, or `none` where it is optional."""
    kinds = get_args(info.type) if isinstance(info.type, UnionType) else (info.type,)
    if not any(get_origin(kind) is dict for kind in kinds):
        return None
    # Of both at once: alone, tyro would take the table for a group of flags.
    absent = {"None": None} if NoneType in kinds else {}
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON|none" if absent else "JSON",
        instance_from_str=lambda words: (
            absent[words[0]] if words[0] in absent else _object(words[0])
        ),
        is_instance=lambda value: isinstance(value, dict) or (bool(absent) and value is None),
        str_from_instance=lambda value: [NONE if value is None else json.dumps(value)],
    )


def _whole_number(info: Any) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """A whole number, also one like 1e6."""
    if info.type is not int:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda words: _whole(words[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    )


def _settings_group(info: Any) -> tyro.constructors.StructConstructorSpec | None:
    """A group of settings, each with its flags and its help."""
    if not (isinstance(info.type, type) and issubclass(info.type, Checked)):
        return None
    defaults = info.default if isinstance(info.default, info.type) else info.type()
    hints = get_type_hints(info.type)
    fields = tuple(
        tyro.constructors.StructFieldSpec(
            name=spec.name,
            type=_with_flags(hints[spec.name], spec.name),
            default=getattr(defaults, spec.name),
            helptext=functools.partial(_help, spec.name),
        )
        for spec in dataclasses.fields(info.type)
    )
    return tyro.constructors.StructConstructorSpec(info.type, fields)


def _with_flags(kind: Any, name: str) -> Any:
    """A setting's type, with its second flag if it has one."""
    other = OTHER_FLAGS.get(name)
    return kind if other is None else Annotated[kind, tyro.conf.arg(aliases=(other,))]


def _help(name: str) -> str:
    """What a setting means, and the choice without which it changes nothing."""
    condition = condition_of(name)
    return f"{meaning_of(name)} ({condition})" if condition else meaning_of(name)


def _whole(text: str) -> int:
    """A whole number, also as people type large ones: 1e5, 100_000."""
    try:
        return int(text)
    except ValueError:
        if (value := float(text)).is_integer():
            return int(value)
        raise ValueError(f"not a whole number: {text!r}") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a JSON object: {text!r} ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object: {text!r}")
    return value


def say(text: str) -> None:
    """Tell the person at the terminal; standard output stays for results."""
    print(text, file=sys.stderr, flush=True)


def say_run(run: Path, done: int, of: int) -> None:
    """A line for each finished run, where no bar can be drawn."""
    if not can_redraw(sys.stderr):
        say(f"run {done} of {of}: {run}")


class SaysEnvSteps:
    """A line for each share of the env steps of several runs, where no bar can be drawn."""

    _SHARE = 0.05

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int, of: int) -> None:
        """Say how many are done if it is another share; not all, since then each run is named."""
        if done < of and done >= self._next and not can_redraw(sys.stderr):
            self._next = done + self._SHARE * of
            say(f"env steps {done:>{len(f'{of:,}')},}/{of:,}")
