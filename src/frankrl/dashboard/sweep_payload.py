"""What the page draws of a sweep."""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from frankrl.config import meaning_of, setting_names
from frankrl.config.choices import shown as setting_text
from frankrl.core.figures import figure
from frankrl.core.text import shown
from frankrl.dashboard.importance import FEWEST_TRIALS, importances
from frankrl.sweeps.records import Dimension, SweepDefinition, Trial

_MAX_DAMAGED = 20
_MIDDLE = 0.5


class SweepRecords(NamedTuple):
    """What is recorded of a sweep."""

    definition: SweepDefinition
    trials: Sequence[Trial]
    """By number."""
    damaged: Mapping[str, str]
    """Why a trial's record cannot be read, by its file's name."""
    is_whole: bool
    """Whether all records were read."""


def best_trial(records: SweepRecords) -> Trial | None:
    """The complete trial with the best value; the first of equal ones."""
    sign = _sign(records.definition)
    known = [trial for trial in records.trials if _value_of(trial) is not None]
    return max(known, key=lambda trial: sign * (trial.value or 0.0), default=None)


def state_counts(records: SweepRecords) -> dict[str, int]:
    """Number of trials by their state."""
    states = [trial.state for trial in records.trials]
    return {state: states.count(state) for state in ("complete", "pruned", "failed", "running")}


def sweep_payload(records: SweepRecords, run_ids: Mapping[str, str]) -> dict[str, Any]:
    """A sweep as the page draws it.

    Args:
        records: what is recorded of it.
        run_ids: ids of the folders of its runs.
    """
    definition, best = records.definition, best_trial(records)
    scale = _Scale.of([trial.value for trial in records.trials if trial.value is not None])
    return {
        "objective": shown(definition.objective),
        "direction": definition.direction,
        "definition": _definition_rows(definition),
        "axes": [_axis(name, dimension) for name, dimension in definition.space.items()],
        "value_axis": [figure(end) for end in scale.ends(definition)] if scale else [],
        "trials": [_trial(trial, records, scale, run_ids) for trial in records.trials],
        "best": None if best is None else best.number,
        "best_so_far": _best_so_far(records),
        "importance": _importance(records),
        "damaged": dict(list(records.damaged.items())[:_MAX_DAMAGED]),
        "num_damaged": len(records.damaged),
        "is_whole": records.is_whole,
    }


class _Scale(NamedTuple):
    """The axis of the trials' values."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Scale | None":
        return cls(min(values), max(values)) if values else None

    def ends(self, definition: SweepDefinition) -> tuple[float, float]:
        """The worst and the best value."""
        ends = (self.low, self.high)
        return ends if _sign(definition) > 0 else ends[::-1]

    def place(self, value: float, definition: SweepDefinition) -> float:
        """From 0, the worst value, to 1, the best one."""
        worst, best = self.ends(definition)
        return 1.0 if worst == best else (value - worst) / (best - worst)


def _sign(definition: SweepDefinition) -> int:
    return 1 if definition.direction == "maximize" else -1


def _value_of(trial: Trial) -> float | None:
    return trial.value if trial.state == "complete" else None


def _trial(
    trial: Trial, records: SweepRecords, scale: _Scale | None, run_ids: Mapping[str, str]
) -> dict[str, Any]:
    definition = records.definition
    space = definition.space
    known = trial.value if scale else None
    seeds = [f"seed {seed}" for seed in definition.seeds]
    names = [*seeds, *map(shown, trial.runs[len(seeds) :])]
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "text": "–" if trial.value is None else figure(trial.value),
        "values": ["–" if value is None else figure(value) for value in trial.values],
        "settings": [_text(trial.settings[n]) if n in trial.settings else None for n in space],
        "places": [_place(trial.settings.get(n), dimension) for n, dimension in space.items()],
        "place": None if scale is None or known is None else scale.place(known, definition),
        "reason": shown(trial.reason, 500),
        "runs": [[name, run_ids[run]] for name, run in zip(names, trial.runs, strict=False)],
    }


def _text(value: Any) -> str:
    return shown(setting_text(value))


def _axis(name: str, dimension: Dimension) -> dict[str, Any]:
    """The axis of a setting: its marks, each a place from 0 to 1 and a text."""
    if dimension.choices:
        places = [_choice_place(number, dimension) for number in range(len(dimension.choices))]
        marks = list(zip(places, map(_text, dimension.choices), strict=True))
    else:
        low, high = _range(dimension)
        middle = math.sqrt(low * high) if dimension.log else (low + high) / 2
        marks = [(0.0, _text(low)), (_MIDDLE, figure(middle)), (1.0, _text(high))]
    meaning = meaning_of(name) if name in setting_names() else ""
    return {"name": shown(name), "meaning": meaning, "log": dimension.log, "marks": marks}


def _range(dimension: Dimension) -> tuple[float, float]:
    assert dimension.low is not None
    assert dimension.high is not None
    return dimension.low, dimension.high


def _choice_place(number: int, dimension: Dimension) -> float:
    last = len(dimension.choices) - 1
    return number / last if last else _MIDDLE


def _place(value: Any, dimension: Dimension) -> float | None:
    """Where a value lies on the axis of its setting, from 0 to 1; None: nowhere."""
    if dimension.choices:
        choices = list(map(repr, dimension.choices))
        text = repr(value)
        return _choice_place(choices.index(text), dimension) if text in choices else None
    low, high = _range(dimension)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    if low == high:
        return _MIDDLE
    if dimension.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _best_so_far(records: SweepRecords) -> list[list[float]]:
    """Numbers of complete trials, and the best value of all trials up to each."""
    known = [(trial.number, v) for trial in records.trials if (v := _value_of(trial)) is not None]
    better = max if _sign(records.definition) > 0 else min
    return [[number for number, _ in known], list(accumulate((v for _, v in known), better))]


def _importance(records: SweepRecords) -> dict[str, Any]:
    complete = [trial for trial in records.trials if _value_of(trial) is not None]
    space = records.definition.space
    found = importances(
        [trial.settings for trial in complete],
        [trial.value or 0.0 for trial in complete],
        {name: bool(dimension.choices) for name, dimension in space.items()},
    )
    rows = [
        {"name": shown(name), "share": one and one.share, "chance": one and one.chance}
        for name, one in found.items()
    ]
    rows.sort(key=lambda row: -1.0 if row["share"] is None else row["share"], reverse=True)
    return {"trials": len(complete), "fewest": FEWEST_TRIALS, "rows": rows}


def _definition_rows(definition: SweepDefinition) -> list[tuple[str, str]]:
    """The definition in words: names and texts."""
    fixed = ", ".join(f"{name} {_text(value)}" for name, value in definition.settings.items())
    lag = (
        f"{definition.lag:,}: trial n is drawn from the results of trials 0 … n − {definition.lag}"
    )
    versions = ", ".join(f"{name} {version}" for name, version in definition.versions.items())
    rows = [
        ("environment", definition.env_id),
        ("preset", definition.preset),
        ("settings of all trials", fixed or "those of the preset"),
        *((f"searched: {n}", _dimension_text(d)) for n, d in definition.space.items()),
        ("objective", f"{definition.objective}, {definition.direction}"),
        ("trials", f"{definition.trials:,}"),
        ("seeds of each trial", ", ".join(map(str, definition.seeds))),
        ("seed of the sweep", str(definition.seed)),
        ("sampler", definition.sampler),
        ("pruner", definition.pruner or "none"),
        ("lag", lag),
        ("versions", versions or "not recorded"),
    ]
    return [(shown(name), shown(text, 500)) for name, text in rows]


def _dimension_text(dimension: Dimension) -> str:
    if dimension.choices:
        return ", ".join(map(_text, dimension.choices))
    low, high = map(_text, _range(dimension))
    step = "" if dimension.step is None else f" in steps of {_text(dimension.step)}"
    return f"{low} to {high}{step}{' on a logarithmic scale' if dimension.log else ''}"
