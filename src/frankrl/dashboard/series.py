"""Curves from the metrics of a run, short enough for a page."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.value_scale import on_value_scale
from frankrl.dashboard.history import TD_ERRORS, History
from frankrl.runs.curves import (
    Curve,
    band_of,
    common_grid,
    on_grid,
    smoothed,
    smoothing_window,
)

Axis = Literal["env_steps", "updates", "seconds"]
AXES: tuple[Axis, ...] = get_args(Axis)
MAX_POINTS = 300
_DIGITS = 6
_LARGEST_POWER = 300
"""Largest power of ten that a float can scale by."""
_MAX_MARKS = 80
PER_EPISODE = {"return": "episode_return", "length": "length"}
_STATISTICS = ("epsilon", "loss", "mean_q", "mean_max_q", "gradient_norm", *TD_ERRORS)
PER_ROW = (*_STATISTICS, "speed", "replay_fill", "sampled_age", "discounted_return")
Points = tuple[list[float | None], list[float | None]]
Traces = dict[str, dict[str, Points]]
"""The traces of each quantity, by name."""
Newest = dict[str, float]
"""The newest value of each quantity, as text for readers who cannot see the curve."""


class Line(NamedTuple):
    """A quantity over the chosen axis; all numbers are finite."""

    x: Float[np.ndarray, " point"]
    y: Float[np.ndarray, " point"]


def along(history: History, axis: Axis) -> Callable[[Float[np.ndarray, " row"]], np.ndarray]:
    """A function from env steps to positions on an axis, interpolated between rows of metrics.

    It returns NaN beyond the last row.
    """
    if axis == "env_steps":
        return lambda env_steps: env_steps
    table, column = {
        "updates": (history.training, "updates"),
        "seconds": (history.timing, "seconds"),
    }[axis]
    steps = np.concatenate([[0.0], table["env_steps"]])
    values = np.concatenate([[0.0], table[column]])
    return lambda env_steps: np.interp(env_steps, steps, values, right=np.nan)


def lines(history: History, settings: Settings, axis: Axis) -> dict[str, Line]:
    """Every quantity of a run, with all its points."""
    place = along(history, axis)
    episodes, training, timing = history.episodes, history.training, history.timing
    columns = {name: (episodes["env_steps"], episodes[PER_EPISODE[name]]) for name in PER_EPISODE}
    shown = [name for name in _STATISTICS if name != "epsilon" or not settings.is_offline]
    columns |= {name: (training["env_steps"], training[name]) for name in shown}
    columns["speed"] = timing["env_steps"], timing["env_steps_per_second"]
    fill = replay_fill(training["env_steps"], settings)
    grows = settings.has_replay and not settings.is_offline
    if grows:
        columns["replay_fill"] = training["env_steps"], fill
    if grows and (age := sampled_age(fill, settings)) is not None:
        columns["sampled_age"] = training["env_steps"], age
    followed = on_value_scale(
        discounted_return(history, settings), is_rescaled=settings.learning.value_rescaling
    )
    columns["discounted_return"] = training["env_steps"], followed
    progress = history.evaluations.get("progress")
    if progress is not None:
        columns["evaluations"] = progress["env_steps"], progress["mean_return"]
    return {name: _line(place, *column) for name, column in columns.items()}


def _line(place: Callable, env_steps: np.ndarray, values: np.ndarray) -> Line:
    at = place(env_steps)
    known = np.isfinite(values) & np.isfinite(at)
    return Line(at[known], values[known])


def replay_fill(env_steps: np.ndarray, settings: Settings) -> np.ndarray:
    """Number of transitions in the replay buffer. [transitions]"""
    return np.minimum(env_steps, settings.replay.replay_capacity)


def sampled_age(fill: np.ndarray, settings: Settings) -> np.ndarray | None:
    """Mean age of sampled transitions; None with prioritised replay. [env steps]

    With uniform sampling it is half the age of the oldest transition.
    """
    match settings.replay.replay_sampling:
        case "uniform":
            return fill / 2
        case "newest":
            return np.minimum(fill, settings.replay.batch_size) / 2
        case _:
            return None


def discounted_return(history: History, settings: Settings) -> np.ndarray:
    """The discounted return that Q should predict, estimated from the last 100 episodes. [reward]

    The metrics record undiscounted returns. So this takes their mean return and mean length,
    assumes equal rewards at each step, and averages the discounted return over the steps.
    """
    training, gamma = history.training, settings.learning.gamma
    length = np.maximum(training["mean_length_100"], 1.0)
    reward = training["mean_return_100"] / length
    if gamma == 1:
        return reward * (length + 1) / 2
    steps = 1 / (1 - gamma)
    return reward * steps * (1 - gamma * (1 - gamma**length) * steps / length)


def refreshes(history: History, settings: Settings, axis: Axis) -> tuple[list[float], int]:
    """Positions of the target network's refreshes, none if there are too many; and their count."""
    if not settings.has_target_network:
        return [], 0
    updates, period = history.training["updates"], settings.learning.target_period_updates
    count = int(updates[-1]) // period if len(updates) else 0
    if not 0 < count <= _MAX_MARKS:
        return [], count
    at = np.interp(
        np.arange(1, count + 1) * period,
        np.concatenate([[0.0], updates]),
        np.concatenate([[0.0], history.training["env_steps"]]),
    )
    places = along(history, axis)(at)
    return places[np.isfinite(places)].tolist(), count


def traces(history: History, settings: Settings, axis: Axis) -> tuple[Traces, Newest]:
    """The traces and newest values of one run."""
    quantities = lines(history, settings, axis)
    drawn: Traces = {
        name: {"smooth": shortened(quantities[name])} for name in PER_ROW if name in quantities
    }
    newest = {name: line.y[-1] for name, line in quantities.items() if len(line.y)}
    for name in PER_EPISODE:
        line = quantities[name]
        mean = Line(line.x, smoothed(line.y, smoothing_window(len(line.y))))
        drawn[name] = {"raw": extremes(line), "smooth": shortened(mean)}
        if len(mean.y):
            newest[name] = mean.y[-1]
    if "evaluations" in quantities and len(quantities["evaluations"].y):
        drawn["return"]["evaluations"] = shortened(quantities["evaluations"])
    return drawn, _finite(newest)


def band_traces(runs: Iterable[tuple[History, Settings]], axis: Axis) -> tuple[Traces, Newest]:
    """The traces of several runs as one: middle and spread over runs; and the newest middles."""
    each = [lines(history, settings, axis) for history, settings in runs]
    drawn: Traces = {}
    newest = {}
    for name in (*PER_EPISODE, *PER_ROW):
        curves = [_smooth(run[name], name) for run in each if name in run]
        grid = common_grid(curves)
        if not len(grid):
            continue
        band = band_of(np.array([on_grid(curve, grid) for curve in curves]))
        drawn[name] = {
            "smooth": _points(grid, band.middle),
            "low": _points(grid, band.low),
            "high": _points(grid, band.high),
        }
        measured = band.middle[np.isfinite(band.middle)]
        if len(measured):
            newest[name] = measured[-1]
    return drawn, _finite(newest)


def _smooth(line: Line, name: str) -> Curve:
    if name not in PER_EPISODE:
        return Curve(line.x, line.y)
    return Curve(line.x, smoothed(line.y, smoothing_window(len(line.y))))


def shortened(line: Line, most: int = MAX_POINTS) -> Points:
    """A line of at most `most` points: the mean of each segment."""
    count = len(line.y)
    if count <= most:
        return _points(line.x, line.y)
    starts = np.arange(most) * count // most
    sizes = np.diff(starts, append=count)
    return _points(*(np.add.reduceat(part, starts) / sizes for part in line))


def extremes(line: Line, most: int = MAX_POINTS) -> Points:
    """At most `most` points: the minimum and maximum of each segment, so no peak is lost."""
    count = len(line.y)
    if count <= most:
        return _points(line.x, line.y)
    bounds = np.arange(most // 2 + 1) * count // (most // 2)
    kept = []
    for first, last in itertools.pairwise(bounds.tolist()):
        part = line.y[first:last]
        kept += sorted({first + int(part.argmin()), first + int(part.argmax())})
    return _points(line.x[kept], line.y[kept])


def _finite(values: Mapping[str, float]) -> Newest:
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def _points(x: np.ndarray, y: np.ndarray) -> Points:
    return _numbers(x), _numbers(y)


def _numbers(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, rounded to six digits; None where a number is not finite."""
    finite = np.isfinite(values)
    size = np.abs(np.where(finite & (values != 0), values, 1.0))
    # Vectorised, because formatting each number would take most of the time of an answer.
    places = np.clip(_DIGITS - 1 - np.floor(np.log10(size)), -_LARGEST_POWER, _LARGEST_POWER)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    with np.errstate(invalid="ignore"):
        rounded = np.round(values * up / down) * down / up
    numbers = rounded.tolist()
    for odd in np.flatnonzero(~finite).tolist():
        numbers[odd] = None
    return numbers
