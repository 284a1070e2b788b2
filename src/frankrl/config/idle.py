"""Idle settings: they change nothing, because the choice that they belong to is not made."""

from collections.abc import Mapping
from typing import Any

from frankrl.config.choices import Choice, shown
from frankrl.config.names import DECLARED
from frankrl.core.errors import SettingError


def idle_settings(values: Mapping[str, Any]) -> list[str]:
    """Names of the settings that change nothing, in order of declaration.

    Args:
        values: the value of every setting, by its short name.
    """
    return [name for name in DECLARED if _is_idle(name, values)]


def idle_error(name: str, values: Mapping[str, Any]) -> SettingError:
    """The error that says why a setting changes nothing, and what to do.

    Args:
        name: name of an idle setting.
        values: the value of every setting, by its short name.
    """
    choices = _open_choices(name, values)
    made = {choice.setting: shown(values[choice.setting]) for choice in choices}
    reason = " and ".join(f"{setting} is {value}" for setting, value in made.items())
    # The parts of a single choice are all needed; of several choices one is enough.
    joined = " and " if len(DECLARED[name].belongs_to) == 1 else " or "
    advice = joined.join(choice.advice for choice in choices)
    return SettingError(
        f"{name} ({shown(values[name])}) changes nothing because {reason}: {advice}, "
        f"or leave {name} out"
    )


def _is_idle(name: str, values: Mapping[str, Any]) -> bool:
    choices = DECLARED[name].belongs_to
    return bool(choices) and not any(_is_made(choice, values) for choice in choices)


def _is_made(choice: Choice, values: Mapping[str, Any]) -> bool:
    """Whether a choice is made, with all its parts; an idle setting counts as its default."""
    return all(_is_part_made(part, values) for part in choice.parts())


def _is_part_made(choice: Choice, values: Mapping[str, Any]) -> bool:
    if _is_idle(choice.setting, values):
        return choice.counts_idle and choice.is_made(DECLARED[choice.setting].default)
    return choice.is_made(values[choice.setting])


def _open_choices(name: str, values: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The choices that would make a setting effective, if possible by one change."""
    choices = tuple(
        part
        for choice in DECLARED[name].belongs_to
        for part in choice.parts()
        if not _is_part_made(part, values)
    )
    possible = tuple(choice for choice in choices if not _is_idle(choice.setting, values))
    return possible or _open_choices(choices[0].setting, values)
