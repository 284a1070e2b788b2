"""Which runs of a list are wanted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import gymnasium

from frankrl.config.presets import preset_names
from frankrl.core.errors import SettingError, nearest
from frankrl.core.text import shown
from frankrl.listing.conditions import Condition
from frankrl.listing.listed_run import ALL_STATES, ListedRun

_MAX_NAMED = 20


@dataclass(frozen=True)
class Selection:
    """What runs must be; of a list that is not empty, one of it."""

    envs: Sequence[str] = ()
    presets: Sequence[str] = ()
    states: Sequence[str] = ()
    seeds: Sequence[int] = ()
    conditions: Sequence[Condition] = ()


def selected(runs: Sequence[ListedRun], wanted: Selection) -> list[ListedRun]:
    """The runs that are wanted, in their order.

    Raises:
        SettingError: there is no environment, preset or state of a name; the message names the
            nearest one.
    """
    known_envs = {run.env_id for run in runs if run.env_id}
    known_presets = {run.preset for run in runs if run.preset}
    _check("environment", wanted.envs, known_envs, known_envs | set(gymnasium.registry))
    _check("preset", wanted.presets, known_presets, known_presets | set(preset_names()))
    _check("state", wanted.states, ALL_STATES, ALL_STATES)
    return [
        run
        for run in runs
        if (not wanted.envs or run.env_id in wanted.envs)
        and (not wanted.presets or run.preset in wanted.presets)
        and (not wanted.states or run.state in wanted.states)
        and (not wanted.seeds or not {run.seed, *run.seeds}.isdisjoint(wanted.seeds))
        and all(condition.holds(run) for condition in wanted.conditions)
    ]


def _check(kind: str, names: Sequence[str], there: Iterable[str], allowed: Iterable[str]) -> None:
    allowed = set(allowed)
    for name in names:
        if name not in allowed:
            words = ", ".join(map(shown, sorted(there)[:_MAX_NAMED])) or "none"
            hint = nearest(name, there) or nearest(name, allowed)
            raise SettingError(f"there is no {kind} {shown(name)!r} here{hint} (there is: {words})")
