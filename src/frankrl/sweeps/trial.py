"""A trial: settings that were tried, and what they gave. One JSON file each."""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from frankrl.core.errors import DamagedError, FrankError
from frankrl.runs import read_regular
from frankrl.runs.disk import replace_durably

State = Literal["running", "complete", "pruned", "failed"]
Curve = tuple[tuple[int, float], ...]
"""Env steps and mean return of a run's evaluations."""
_MAX_BYTES = 1 << 24
_MAX_NESTING = 4
_RUN = re.compile(r"runs/\d{4,}-s\d+")
_FILE = re.compile(r"\d{4,9}\.json")


@dataclass(frozen=True)
class Trial:
    """A trial as it stands."""

    number: int
    """From 0."""
    settings: dict[str, Any]
    """The searched ones by name."""
    state: State = "running"
    value: float | None = None
    """Mean of `values`; None while it runs, and if it has failed."""
    values: tuple[float, ...] = ()
    """The objective of each run that is over, in the order of the seeds."""
    runs: tuple[str, ...] = ()
    """Folders of the runs that have begun, relative to the sweep's."""
    intermediate: tuple[Curve, ...] = ()
    """The evaluations of each run that is over."""
    reason: str | None = None
    """Why it was pruned, or has failed."""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.state != "running"

    def to_plain(self) -> dict[str, Any]:
        """The trial as JSON data."""
        return {
            "number": self.number,
            "settings": self.settings,
            "state": self.state,
            "value": self.value,
            "values": self.values,
            "runs": self.runs,
            "intermediate": self.intermediate,
            "reason": self.reason,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> "Trial":
        """The trial in JSON data, which may come from anyone.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(plain, dict) or set(plain) != set(cls.__dataclass_fields__):
            raise ValueError("it does not have the entries of a trial")
        trial = cls(
            plain["number"],
            plain["settings"],
            plain["state"],
            None if plain["value"] is None else _finite(plain["value"]),
            tuple(map(_finite, _list(plain["values"]))),
            tuple(_list(plain["runs"])),
            tuple(tuple(map(_point, _list(curve))) for curve in _list(plain["intermediate"])),
            plain["reason"],
        )
        if type(trial.number) is not int or trial.number < 0:
            raise ValueError("its number is none")
        if trial.state not in get_args(State) or not isinstance(trial.settings, dict):
            raise ValueError("it has no state or no settings")
        # JSON has no infinity, although Python reads one.
        json.dumps(trial.settings, allow_nan=False)
        if not all(isinstance(run, str) and _RUN.fullmatch(run) for run in trial.runs):
            raise ValueError("its runs lie elsewhere")
        if not all(map(_is_value, trial.settings.values())):
            raise ValueError("its settings are none")
        if not isinstance(trial.reason, str | None):
            raise ValueError("its reason is no text")
        if (trial.value is None) != (trial.state in ("running", "failed")):
            raise ValueError("its value does not fit its state")
        return trial


def file_of(folder: Path, number: int) -> Path:
    """The file of a trial in the folder of trials."""
    return folder / f"{number:04d}.json"


def write_trial(folder: Path, trial: Trial) -> None:
    """Write a trial's file, or replace it in one step.

    Raises:
        FrankError: it cannot be written.
    """
    path = file_of(folder, trial.number)
    text = json.dumps(trial.to_plain(), allow_nan=False)
    try:
        replace_durably(path, (text + "\n").encode())
    except OSError as error:
        raise FrankError(
            f"{path} cannot be written: {error.strerror or error}; the same command continues"
        ) from error


def trial_files(folder: Path) -> list[Path]:
    """The files of the trials in a folder, by name."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [folder / name for name in names if _FILE.fullmatch(name)]


def read_trial(path: Path) -> Trial:
    """The trial in a file.

    Raises:
        DamagedError: the file is none that a sweep has written.
        RunFolderError: the system cannot read it now.
    """
    content = read_regular(path, _MAX_BYTES)
    try:
        trial = Trial.from_plain(json.loads(content))
        if file_of(path.parent, trial.number).name != path.name:
            raise ValueError("it has the number of another one")
    except (ValueError, RecursionError, KeyError, TypeError, OverflowError) as error:
        raise DamagedError(
            f"{path} is damaged: {error}; remove it, and the same command makes it anew from "
            "its runs"
        ) from error
    return trial


def read_trials(folder: Path) -> dict[int, Trial]:
    """All trials in a folder by their number, in order.

    Raises:
        DamagedError: a file is none that a sweep has written.
    """
    trials = map(read_trial, trial_files(folder))
    return dict(sorted((trial.number, trial) for trial in trials))


def _is_value(value: Any, nesting: int = 0) -> bool:
    """Whether it can be the value of a setting."""
    if isinstance(value, list):
        return nesting < _MAX_NESTING and all(_is_value(entry, nesting + 1) for entry in value)
    is_finite = not isinstance(value, float) or math.isfinite(value)
    return is_finite and isinstance(value, str | int | float | None)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("a number is missing")
    return float(value)


def _point(pair: Any) -> tuple[int, float]:
    env_steps, mean = _list(pair)
    return int(_finite(env_steps)), _finite(mean)
