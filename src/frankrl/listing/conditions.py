"""Conditions on runs, such as `learning_rate>0.001`, and the order of a list.

A condition is a name, one of six comparisons and a value. The name is a setting's, or one of
`RESULTS`. A value has the form that a command line or a TOML file gives it. Nothing is evaluated.
"""

import dataclasses
import json
import operator
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, NamedTuple

from frankrl.config import group_of, setting_names
from frankrl.config.choices import NONE
from frankrl.config.groups import GROUPS
from frankrl.core.errors import SettingError, nearest
from frankrl.core.text import given, shown
from frankrl.listing.listed_run import ListedRun

RESULTS: Mapping[str, str] = {
    "seed": "seed",
    "env_steps": "env_steps",
    "updates": "updates",
    "mean_return": "mean_return",
    "best_return": "best_return",
    "final_return": "final_return",
    "solved_at": "solved_at",
    "size": "size_bytes",
}
"""Numbers of a run that are no settings: their names in conditions and those in `ListedRun`."""
ORDERS: Mapping[str, str] = {
    "run": "name",
    "env": "env_id",
    "preset": "preset",
    "state": "state",
    "written": "written_at",
    **RESULTS,
}
"""By what else than settings a list can be sorted."""
_EITHER_WAY = ("=", "!=")
"""Comparisons of values that are no numbers."""
_FORM = re.compile(r"\s*([\w-]+)\s*(<=|>=|!=|==?|<|>)\s*(.*?)\s*", re.DOTALL)
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Condition(NamedTuple):
    """What must hold of a run."""

    name: str
    comparison: str
    value: Any

    def holds(self, run: ListedRun) -> bool:
        """Whether it holds of a run; never where the run has no such value."""
        there, value = _value_of(run, self.name)
        if not there:
            return False
        if self.comparison not in _EITHER_WAY and not _is_number(value):
            return False
        return _COMPARISONS[self.comparison](value, self.value)


def condition(text: str) -> Condition:
    """The condition that a text states.

    Raises:
        SettingError: it is none, or names nothing that a run has.
    """
    parts = _FORM.fullmatch(text)
    if parts is None or not parts[3]:
        raise SettingError(
            f"a condition is a name, one of = != < <= > >= and a value, such as "
            f"learning_rate>0.001, got {given(text)}"
        )
    name, comparison, value = parts[1].replace("-", "_"), parts[2], parts[3]
    comparison = "=" if comparison == "==" else comparison
    _check_name(name, (*RESULTS, *setting_names()))
    if comparison not in _EITHER_WAY:
        if not _has_numbers(name):
            raise SettingError(f"{name} is no number, so it can be compared by = and != only")
        return Condition(name, comparison, _number(name, value))
    if name in RESULTS:
        return Condition(name, comparison, _number(name, value))
    return Condition(name, comparison, _setting(name, value))


def ordered(runs: Iterable[ListedRun], by: str, *, reverse: bool = False) -> list[ListedRun]:
    """Runs in an order: texts by the alphabet, numbers from the largest; runs without one last.

    Args:
        runs: the runs; those that are equal keep their order.
        by: one of `ORDERS`, or a setting.
        reverse: the other way round; runs without a value stay last.

    Raises:
        SettingError: there is no such order.
    """
    by = by.replace("-", "_")
    _check_name(by, (*ORDERS, *setting_names()))
    runs = list(runs)
    values = [_value_of(run, by) for run in runs]
    keyed = [(value, run) for (there, value), run in zip(values, runs, strict=True) if there]
    others = [run for (there, _), run in zip(values, runs, strict=True) if not there]
    are_numbers = all(_is_number(value) for value, _ in keyed)
    key: Callable[[Any], Any] = (
        (lambda pair: pair[0]) if are_numbers else (lambda pair: shown(pair[0]))
    )
    return [run for _, run in sorted(keyed, key=key, reverse=are_numbers != reverse)] + others


def _value_of(run: ListedRun, name: str) -> tuple[bool, Any]:
    """Whether a run has a value of this name, and the value; an idle setting has none."""
    if (attribute := ORDERS.get(name)) is not None:
        value = getattr(run, attribute)
        return value not in (None, ""), value
    for table in run.settings.to_tables().values() if run.settings else ():
        if name in table:
            return True, table[name]
    return False, None


def _check_name(name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise SettingError(
            f"there is nothing of a run called {shown(name)}{nearest(name, allowed)} "
            f"(results: {', '.join(RESULTS)}; `frank train --help-all` lists all settings)"
        )


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value:
        raise SettingError(f"{name} is compared with a number, got {given(text)}")
    return value


def _setting(name: str, text: str) -> Any:
    """A setting's value as typed, checked as that of a training is."""
    if text == NONE:
        value: Any = text
    elif _has_numbers(name):
        value = _number(name, text)
    elif text in ("true", "false"):
        value = text == "true"
    else:
        value = _list(text)
    record = dataclasses.replace(GROUPS[group_of(name)](), **{name: value})
    return getattr(record, name)


def _list(text: str) -> Any:
    """The list of a text such as `[64, 64]`; any other text itself."""
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _has_numbers(name: str) -> bool:
    """Whether a result or a setting is a number."""
    if name in RESULTS:
        return True
    hint = typing.get_type_hints(GROUPS[group_of(name)])[name]
    kinds = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return any(kind in (int, float) for kind in kinds)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
