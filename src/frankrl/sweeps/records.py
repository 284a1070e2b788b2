"""The definition of a sweep for those who watch it: what its `sweep.json` says, checked as data.

The process that serves the dashboard reads here, so this module reaches no learning code.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.core.errors import DamagedError, FrankError, SettingError
from frankrl.core.text import given, shown
from frankrl.listing.run_index import SWEEP
from frankrl.runs.disk import read_regular
from frankrl.sweeps.space import Space, space_of

TRIALS = "trials"
"""The folder of trials, in a sweep's folder."""
_MAX_BYTES = 1 << 22
_MAX_TEXT, _MAX_ENTRIES, _MAX_WHOLE = 1_000, 1_000, 1 << 64
_DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True)
class RecordedSweep:
    """What is recorded of a sweep's definition."""

    env_id: str
    preset: str
    fixed: dict[str, str]
    """The settings that were given for all trials, by name, as texts."""
    space: Space
    """The searched settings."""
    objective: str
    """Its name."""
    direction: str
    """`maximize` or `minimize`."""
    seeds: tuple[int, ...]
    """Seeds of the runs of each trial."""
    sweep_seed: int
    """Seed of the sampler."""
    sampler: str
    pruner: str
    lag: int
    """Trial n follows from the results of trials 0 … n - lag."""
    versions: dict[str, str]
    trials: int
    """Number of trials."""
    plain: dict[str, Any]
    """All of it as JSON data: as it is here, and the settings of every trial, by group."""


def read_definition(sweep: Path) -> RecordedSweep:
    """The definition of the sweep in a folder.

    Raises:
        DamagedError: it is missing or not valid.
        RunFolderError: the system cannot read it now.
    """
    path = sweep / SWEEP
    content = read_regular(path, _MAX_BYTES)
    try:
        return _recorded(_Fields(_table(json.loads(content), "a sweep")))
    except (FrankError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {shown(error)}") from error


def _recorded(fields: "_Fields") -> RecordedSweep:
    for group, values in fields.table("settings").items():
        _table(values, f"settings.{group}")
    direction = fields.text("direction")
    if direction not in _DIRECTIONS:
        raise SettingError(f"direction must be {' or '.join(_DIRECTIONS)}, got {given(direction)}")
    return RecordedSweep(
        env_id=fields.text("env_id"),
        preset=fields.text("preset"),
        fixed={name: _in_words(value) for name, value in fields.table("fixed").items()},
        space=space_of(fields.table("space")),
        objective=fields.text("objective"),
        direction=direction,
        seeds=tuple(_whole(seed, "a seed") for seed in fields.entries("seeds")),
        sweep_seed=_whole(fields["sweep_seed"], "sweep_seed"),
        sampler=fields.text("sampler"),
        pruner=fields.text("pruner"),
        lag=_whole(fields["lag"], "lag"),
        versions={name: _in_words(value) for name, value in fields.table("versions").items()},
        trials=_whole(fields["trials"], "trials"),
        plain=dict(fields),
    )


class _Fields(dict[str, Any]):
    """The fields of a record; the error of a missing one names it."""

    def __missing__(self, name: str) -> Any:
        raise SettingError(f"{name} is missing")

    def text(self, name: str) -> str:
        value = self[name]
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise SettingError(f"{name} must be a text of at most {_MAX_TEXT:,} characters")
        return value

    def table(self, name: str) -> dict[str, Any]:
        return _table(self[name], name)

    def entries(self, name: str) -> list[Any]:
        value = self[name]
        if not isinstance(value, list) or len(value) > _MAX_ENTRIES:
            raise SettingError(f"{name} must be a list of at most {_MAX_ENTRIES:,} entries")
        return value


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or len(value) > _MAX_ENTRIES:
        raise SettingError(f"{name} must be a table of at most {_MAX_ENTRIES:,} entries")
    return value


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < _MAX_WHOLE:
        raise SettingError(f"{name} must be a whole number from 0, got {given(value)}")
    return value


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
