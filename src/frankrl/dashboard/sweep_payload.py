"""What the page draws of a sweep."""

import json
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from frankrl.config import meaning_of, setting_names
from frankrl.config.choices import shown as setting_text
from frankrl.core.figures import figure
from frankrl.core.text import shown
from frankrl.dashboard.importance import FEWEST_TRIALS, importances
from frankrl.sweeps.records import RecordedSweep
from frankrl.sweeps.space import Axis, Choices, Range
from frankrl.sweeps.trial import Trial

_MAX_DAMAGED = 20
_MIDDLE = 0.5


class SweepRecords(NamedTuple):
    """What is recorded of a sweep."""

    definition: RecordedSweep
    trials: Sequence[Trial]
    """By number."""
    damaged: Mapping[str, str]
    """Why a trial's record cannot be read, by its file's name."""


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
    values = [trial.value for trial in records.trials if trial.value is not None]
    complete = [value for t in records.trials if (value := _value_of(t)) is not None]
    scales = _Scales(_Scale.of(values), _Scale.of(complete))
    return {
        "objective": shown(definition.objective),
        "direction": definition.direction,
        "definition": _definition_rows(definition),
        "axes": [_axis(name, axis) for name, axis in definition.space.items()],
        "value_axis": _ends(scales.axis, definition),
        "complete": _ends(scales.colours, definition),
        "trials": [_trial(trial, definition, scales, run_ids) for trial in records.trials],
        "best": None if best is None else best.number,
        "best_so_far": _best_so_far(records),
        "importance": _importance(records),
        "damaged": dict(list(records.damaged.items())[:_MAX_DAMAGED]),
        "num_damaged": len(records.damaged),
    }


class _Scale(NamedTuple):
    """The axis of the trials' values."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "_Scale | None":
        return cls(min(values), max(values)) if values else None

    def ends(self, definition: RecordedSweep) -> tuple[float, float]:
        """The worst and the best value."""
        return (self.low, self.high) if _sign(definition) > 0 else (self.high, self.low)

    def place(self, value: float, definition: RecordedSweep) -> float:
        """From 0, the worst value, to 1, the best one."""
        worst, best = self.ends(definition)
        return 1.0 if worst == best else (value - worst) / (best - worst)


class _Scales(NamedTuple):
    """Where values lie."""

    axis: _Scale | None
    """Of all values; None: there is none."""
    colours: _Scale | None
    """Of the complete trials' values."""


def _ends(scale: _Scale | None, definition: RecordedSweep) -> list[str]:
    """The worst and the best value as texts; none without a scale."""
    return [figure(end) for end in scale.ends(definition)] if scale else []


def _sign(definition: RecordedSweep) -> int:
    return 1 if definition.direction == "maximize" else -1


def _value_of(trial: Trial) -> float | None:
    return trial.value if trial.state == "complete" else None


def _trial(
    trial: Trial, definition: RecordedSweep, scales: _Scales, run_ids: Mapping[str, str]
) -> dict[str, Any]:
    space, (axis, colours) = definition.space, scales
    value, complete = trial.value, _value_of(trial)
    seeds = [f"seed {seed}" for seed in definition.seeds]
    names = [*seeds, *map(shown, trial.runs[len(seeds) :])]
    return {
        "number": trial.number,
        "state": trial.state,
        "value": value,
        "text": "–" if value is None else figure(value),
        "values": list(map(figure, trial.values)),
        "settings": [_text(trial.settings[n]) if n in trial.settings else None for n in space],
        "places": [_place(trial.settings.get(n), space[n]) for n in space],
        "place": axis.place(value, definition) if axis and value is not None else None,
        "colour": colours.place(complete, definition) if colours and complete is not None else None,
        "reason": shown(trial.reason or "", 500),
        "runs": [[name, run_ids[run]] for name, run in zip(names, trial.runs, strict=False)],
    }


def _text(value: Any) -> str:
    return shown(setting_text(value))


def _axis(name: str, axis: Axis) -> dict[str, Any]:
    """The axis of a setting: its marks, each a place from 0 to 1 and a text."""
    if isinstance(axis, Choices):
        places = [_choice_place(number, axis) for number in range(len(axis.values))]
        marks = list(zip(places, map(_text, axis.values), strict=True))
    else:
        middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
        marks = [(0.0, _text(axis.low)), (_MIDDLE, figure(middle)), (1.0, _text(axis.high))]
    is_log = isinstance(axis, Range) and axis.log
    meaning = meaning_of(name) if name in setting_names() else ""
    return {"name": shown(name), "meaning": meaning, "log": is_log, "marks": marks}


def _choice_place(number: int, axis: Choices) -> float:
    last = len(axis.values) - 1
    return number / last if last else _MIDDLE


def _place(value: Any, axis: Axis) -> float | None:
    """Where a value lies on the axis of its setting, from 0 to 1; None: nowhere."""
    if isinstance(axis, Choices):
        # As texts, because True and 1 are equal.
        choices = list(map(json.dumps, axis.values))
        text = json.dumps(value)
        return _choice_place(choices.index(text), axis) if text in choices else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not axis.low <= value <= axis.high:
        return None
    if axis.low == axis.high:
        return _MIDDLE
    if axis.log:
        return math.log(value / axis.low) / math.log(axis.high / axis.low)
    return (value - axis.low) / (axis.high - axis.low)


def _best_so_far(records: SweepRecords) -> tuple[list[int], list[float]]:
    """Numbers of trials, and the best value of all complete ones up to each.

    These are the complete trials, and the last one that is over.
    """
    known = [(trial.number, v) for trial in records.trials if (v := _value_of(trial)) is not None]
    if not known:
        return [], []
    better = max if _sign(records.definition) > 0 else min
    numbers, best = [n for n, _ in known], [*accumulate((v for _, v in known), better)]
    last = max(trial.number for trial in records.trials if trial.is_over)
    return ([*numbers, last], [*best, best[-1]]) if last > numbers[-1] else (numbers, best)


def _importance(records: SweepRecords) -> dict[str, Any]:
    complete = [trial for trial in records.trials if _value_of(trial) is not None]
    space = records.definition.space
    found = importances(
        [_settings_in(space, trial) for trial in complete],
        [trial.value or 0.0 for trial in complete],
        {name: isinstance(axis, Choices) for name, axis in space.items()},
    )
    rows = [
        {"name": shown(name), "share": one and one.share, "chance": one and one.chance}
        for name, one in found.items()
    ]
    rows.sort(key=lambda row: -1.0 if row["share"] is None else row["share"], reverse=True)
    return {"trials": len(complete), "fewest": FEWEST_TRIALS, "rows": rows}


def _settings_in(space: Mapping[str, Axis], trial: Trial) -> dict[str, Any]:
    """The settings of a trial that lie on their axes."""
    return {
        name: trial.settings[name]
        for name, axis in space.items()
        if name in trial.settings and _place(trial.settings[name], axis) is not None
    }


def _definition_rows(definition: RecordedSweep) -> list[tuple[str, str]]:
    """The definition in words: names and texts."""
    lag = definition.lag
    rows = [
        ("environment", definition.env_id),
        ("preset", definition.preset),
        ("settings of all trials", _listed(definition.fixed) or "those of the preset"),
        *((f"searched: {name}", _axis_text(axis)) for name, axis in definition.space.items()),
        ("objective", f"{definition.objective}, {definition.direction}"),
        ("trials", f"{definition.trials:,}"),
        ("seeds of each trial", ", ".join(map(str, definition.seeds))),
        ("seed of the sweep", str(definition.sweep_seed)),
        ("sampler", definition.sampler),
        ("pruner", definition.pruner),
        ("lag", f"{lag:,}: trial n follows from the results of trials 0 … n − {lag:,}"),
        ("versions", _listed(definition.versions) or "not recorded"),
    ]
    return [(shown(name), shown(text, 500)) for name, text in rows]


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _axis_text(axis: Axis) -> str:
    if isinstance(axis, Choices):
        return ", ".join(map(_text, axis.values))
    step = "" if axis.step is None else f" in steps of {_text(axis.step)}"
    scale = " on a logarithmic scale" if axis.log else ""
    return f"{_text(axis.low)} to {_text(axis.high)}{step}{scale}"
