"""Idle settings: they change nothing, because the choice that they belong to is not made."""

from collections.abc import Mapping
from typing import Any

from frankrl.config.choices import Choice, shown
from frankrl.config.clock import Clock
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
    ways = _ways(name, values)
    made = {part.setting: shown(values[part.setting]) for way in ways for part in way}
    reason = " and ".join(f"{setting} is {value}" for setting, value in made.items())
    advice = " or ".join(" and ".join(part.advice for part in way) for way in ways)
    twin = _on_the_other_clock(name)
    if twin is not None and not _is_idle(twin, values):
        advice = f"give {twin} in its place"
    return SettingError(
        f"{name} ({shown(values[name])}) changes nothing because {reason}: {advice}, "
        f"or leave {name} out"
    )


def _on_the_other_clock(name: str) -> str | None:
    """The name of the same duration, of runs whose clock counts env steps or updates instead."""
    for one, other in ((Clock.ENV_STEPS, Clock.UPDATES), (Clock.UPDATES, Clock.ENV_STEPS)):
        twin = other.named(name.removesuffix(one.named("")))
        if name.endswith(one.named("")) and twin in DECLARED:
            return twin
    return None


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


def _ways(name: str, values: Mapping[str, Any]) -> list[tuple[Choice, ...]]:
    """The ways to make a setting effective, each by the choices that it lacks.

    A choice among idle settings comes later: if there is no way without one, only the others of a
    way are named, or how that one becomes effective.
    """
    lacking = [
        tuple(part for part in choice.parts() if not _is_part_made(part, values))
        for choice in DECLARED[name].belongs_to
    ]
    first = [tuple(p for p in way if not _is_idle(p.setting, values)) for way in lacking]
    whole = [way for way, possible in zip(lacking, first, strict=True) if way == possible]
    return list(dict.fromkeys(whole or filter(None, first))) or _ways(lacking[0][0].setting, values)
