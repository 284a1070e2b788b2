"""The records of a sweep: `sweep.json` says what is searched, `trials/0007.json` what a trial gave.

A record may come from anyone, so it is data: its size is bounded and every field is checked. This
module imports neither Optuna nor JAX, because the process that serves the dashboard reads here.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from frankrl.core.errors import DamagedError, FrankError, SettingError
from frankrl.core.text import given, shown
from frankrl.runs.disk import read_regular, replace_durably
from frankrl.sweeps.record_fields import (
    Fields,
    as_evaluation,
    as_folder,
    as_list,
    as_number,
    as_optional,
    as_settings,
    as_table,
    as_text,
    as_value,
    as_whole,
)

_Record = TypeVar("_Record")

SWEEP, TRIALS, RUNS = "sweep.json", "trials", "runs"
"""The definition's file, the folder of trials and the folder of their runs, in a sweep's folder."""
STATES = ("running", "complete", "pruned", "failed")
DIRECTIONS = ("maximize", "minimize")
MAX_TRIALS = 10_000
"""Trials of a sweep."""
_MAX_DEFINITION_BYTES, _MAX_TRIAL_BYTES = 1 << 20, 1 << 23
_MAX_EVALUATIONS = 100_000
"""Evaluations of a run."""


@dataclass(frozen=True)
class Dimension:
    """The values that are tried of one setting: some choices, or a range."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    """Whether the range is searched on a logarithmic scale."""
    step: float | None = None
    """Distance of neighbouring values of the range; None: any value."""
    choices: tuple[Any, ...] = ()
    """The values; empty: a range."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data, without what is not given."""
        if self.choices:
            return {"choices": list(self.choices)}
        range_ = {"low": self.low, "high": self.high, "log": self.log}
        return range_ if self.step is None else range_ | {"step": self.step}


@dataclass(frozen=True)
class SweepDefinition:
    """What a sweep searches, and everything that decides its trials."""

    env_id: str
    preset: str
    settings: Mapping[str, Any]
    """Settings that are the same in all trials, by name."""
    space: Mapping[str, Dimension]
    """The searched settings, by name."""
    objective: str
    """Name of the objective, such as `final_mean`."""
    direction: str
    """One of `DIRECTIONS`."""
    trials: int
    """Number of trials."""
    seeds: tuple[int, ...]
    """Seeds of the runs of each trial."""
    seed: int
    """Seed of the sweep itself: of its sampler."""
    sampler: str
    pruner: str
    """Name of the pruner; empty: no trial is pruned."""
    lag: int
    """Trial n is drawn from the results of trials 0 … n - lag."""
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        space = {name: dimension.to_json() for name, dimension in self.space.items()}
        return asdict(self) | {"space": space}


@dataclass(frozen=True)
class Trial:
    """One trial: its settings, and what its runs gave."""

    number: int
    """From 0."""
    settings: Mapping[str, Any]
    """The searched settings, by name."""
    state: str
    """One of `STATES`."""
    value: float | None = None
    """Value of the objective over all seeds; None: not known."""
    values: tuple[float | None, ...] = ()
    """Value of each run, in the order of the definition's seeds; None: not known."""
    runs: tuple[str, ...] = ()
    """Folder of each run, relative to the sweep's folder."""
    intermediate: tuple[tuple[tuple[int, float], ...], ...] = ()
    """Evaluations of each run during the training: env steps and mean return."""
    reason: str = ""
    """Why the trial was pruned or failed, else empty."""

    def to_json(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


class Trials(NamedTuple):
    """The trials of a sweep that could be read."""

    trials: tuple[Trial, ...]
    """By number."""
    damaged: Mapping[str, str]
    """Why a record cannot be read, by its file's name."""
    is_whole: bool
    """Whether all records were looked at: there are no more than `MAX_TRIALS`."""


def trial_file(sweep: Path, number: int) -> Path:
    """Where the record of a trial lies."""
    return sweep / TRIALS / f"{number:04d}.json"


def write_definition(sweep: Path, definition: SweepDefinition) -> None:
    """Write the definition of a sweep; the folder is made if it is missing.

    Raises:
        OSError: it cannot be written; a definition that is there is then unchanged.
    """
    sweep.mkdir(parents=True, exist_ok=True)
    replace_durably(sweep / SWEEP, _bytes(definition.to_json()))


def read_definition(sweep: Path) -> SweepDefinition:
    """The definition of the sweep in a folder.

    Raises:
        DamagedError: it is missing or not valid.
        RunFolderError: the system cannot read it now.
    """
    path = sweep / SWEEP
    return _read(path, _MAX_DEFINITION_BYTES, _definition)


def write_trial(sweep: Path, trial: Trial) -> None:
    """Write the record of a trial; a reader sees the old one or the new one, each whole.

    Raises:
        OSError: it cannot be written; a record that is there is then unchanged.
    """
    path = trial_file(sweep, trial.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(path, _bytes(trial.to_json()))


def read_trial(path: Path) -> Trial:
    """The trial in a file.

    Raises:
        DamagedError: the file is missing or not valid, or holds a trial of another number.
        RunFolderError: the system cannot read it now.
    """

    def numbered(plain: Any) -> Trial:
        trial = _trial(plain)
        if path.name != trial_file(path, trial.number).name:
            raise SettingError(f"it holds trial {trial.number}")
        return trial

    return _read(path, _MAX_TRIAL_BYTES, numbered)


def trial_files(sweep: Path) -> tuple[list[Path], bool]:
    """The files of a sweep's trials by name, at most `MAX_TRIALS`, and whether these are all."""
    try:
        with os.scandir(sweep / TRIALS) as entries:
            names = [e.name for e in entries if e.name.endswith(".json") and e.name[0] != "."]
    except OSError:
        return [], True
    names.sort(key=lambda name: (len(name), name))
    return [sweep / TRIALS / name for name in names[:MAX_TRIALS]], len(names) <= MAX_TRIALS


def read_trials(sweep: Path) -> Trials:
    """The trials of a sweep; a damaged record is told and hides no other."""
    trials, damaged = [], {}
    paths, is_whole = trial_files(sweep)
    for path in paths:
        try:
            trials.append(read_trial(path))
        except FrankError as error:
            damaged[shown(path.name)] = str(error)
    return Trials(tuple(sorted(trials, key=lambda trial: trial.number)), damaged, is_whole)


def _bytes(plain: Any) -> bytes:
    return (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode()


def _read(path: Path, most_bytes: int, build: Callable[[Any], _Record]) -> _Record:
    content = read_regular(path, most_bytes)
    try:
        return build(json.loads(content))
    except (FrankError, ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: {shown(error)}") from error


def _definition(plain: Any) -> SweepDefinition:
    table = Fields(plain, "a sweep")
    space = as_table(table["space"], "space")
    return SweepDefinition(
        env_id=table.text("env_id"),
        preset=table.text("preset"),
        settings=as_settings(table["settings"]),
        space={as_text(name, "a setting"): _dimension(space[name], name) for name in space},
        objective=table.text("objective"),
        direction=table.one_of("direction", DIRECTIONS),
        trials=table.whole("trials"),
        seeds=tuple(as_whole(seed, "a seed") for seed in table.entries("seeds")),
        seed=table.whole("seed"),
        sampler=table.text("sampler"),
        pruner=table.text("pruner"),
        lag=table.whole("lag"),
        versions={
            as_text(name, "a package"): as_text(version, "a version")
            for name, version in as_table(table["versions"], "versions").items()
        },
    )


def _dimension(plain: Any, name: str) -> Dimension:
    table = Fields(plain, name)
    if "choices" in table:
        choices = tuple(as_value(choice, name) for choice in table.entries("choices"))
        if not choices:
            raise SettingError(f"{shown(name)} has no choices")
        return Dimension(choices=choices)
    low, high = as_number(table["low"], "low"), as_number(table["high"], "high")
    log, step = table.get("log", False), table.get("step")
    if not isinstance(log, bool):
        raise SettingError(f"log must be true or false, got {given(log)}")
    if low > high or (log and low <= 0):
        raise SettingError(f"{shown(name)} has an impossible range, {low:g} to {high:g}")
    return Dimension(low, high, log, None if step is None else as_number(step, "step"))


def _trial(plain: Any) -> Trial:
    table = Fields(plain, "a trial")
    return Trial(
        number=table.whole("number"),
        settings=as_settings(table["settings"]),
        state=table.one_of("state", STATES),
        value=as_optional(table["value"], "value"),
        values=tuple(as_optional(value, "a value") for value in table.entries("values")),
        runs=tuple(as_folder(run) for run in table.entries("runs")),
        intermediate=tuple(
            tuple(as_evaluation(pair) for pair in as_list(run, "intermediate", _MAX_EVALUATIONS))
            for run in table.entries("intermediate")
        ),
        reason=table.text("reason"),
    )
