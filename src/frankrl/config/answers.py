"""What is answered to whoever gives a setting by another library's name."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from frankrl.config.choices import shown
from frankrl.config.known_names import BY_NAME, Asked, KnownName
from frankrl.core.errors import SettingError
from frankrl.core.wording import is_on_command_line, option

_OWN_FLAGS = ("verbose",)
"""Words that mean something on Frank's command line, but no setting in Python."""
_SWITCH_VALUES = ("true", "false", "0", "1", "2")


def refuse_known_names(changes: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Answer names of other libraries with Frank's settings and the converted values.

    Args:
        changes: settings that are given, by whatever name.
        values: the value that each of Frank's settings has where it is not given.

    Raises:
        SettingError: there are names of other libraries; the message says what to give for them.
    """
    foreign = {name: value for name, value in changes.items() if name in BY_NAME}
    if not foreign:
        return
    given = {name: value for name, value in changes.items() if name not in BY_NAME}
    sentences, instead = [], {}
    for name, value in foreign.items():
        asked = Asked(foreign, given, values)
        converted = _converted(BY_NAME[name], value, asked)
        instead |= converted
        sentences.append(_sentence(BY_NAME[name], converted, asked))
    words = (" " if is_on_command_line() else ", ").join(
        _with_value(name, value) for name, value in instead.items()
    )
    raise SettingError("; ".join(sentences) + (f": give {words}" if words else ""))


def taken_apart(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words of a command line without other libraries' names, and those with their values.

    Args:
        arguments: what was typed after the command.
    """
    own: list[str] = []
    foreign: dict[str, str] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in BY_NAME or name in _OWN_FLAGS:
            own.append(word)
            continue
        foreign[name] = value if equals else " ".join(_values(BY_NAME[name], words))
    return own, foreign


def _values(known: KnownName, words: list[str]) -> list[str]:
    """Take the values of a flag from the words that follow it."""
    taken: list[str] = []
    while words and not words[0].startswith("--"):
        if known.takes == "none" and words[0].lower() not in _SWITCH_VALUES:
            break
        taken.append(words.pop(0))
        if known.takes != "many":
            break
    return taken


def _converted(known: KnownName, value: Any, asked: Asked) -> dict[str, Any]:
    """The values of Frank's settings; empty where the value is none that can be converted."""
    try:
        return known.convert(value, asked)
    except (ValueError, TypeError, ArithmeticError):
        return {}


def _sentence(known: KnownName, converted: Mapping[str, Any], asked: Asked) -> str:
    """What a name is in Frank, such as "lr is Frank's learning_rate"."""
    name = option(known.name)
    if not known.settings:
        return f"{name} is no setting of Frank: {known.how}"
    settings = " and ".join(map(option, tuple(converted) or known.settings))
    used = [f"{name} is {shown(value)}" for name, value in asked.used.items() if value != 1]
    how = "; ".join(part for part in (known.how, *used) if part)
    sentence = f"{name} is Frank's {settings}" + (f" ({how})" if how else "")
    return sentence if converted else f"{sentence}, and this value has no equal there"


def _with_value(name: str, value: Any) -> str:
    """A setting with its value, as one gives it here."""
    if not is_on_command_line():
        return option(name, value)
    if isinstance(value, tuple):
        return " ".join([option(name), *map(str, value)])
    if str(value).lower() in ("", "true"):
        return option(name)
    if str(value).lower() == "false":
        return option(f"no_{name}")
    return f"{option(name)} {shlex.quote(str(value))}"
