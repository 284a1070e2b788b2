"""Plots runs: return, episode length, ε, loss and mean Q."""

import contextlib
import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.core import system
from frankrl.core.errors import MissingExtraError, SettingError, warn
from frankrl.core.figures import counted
from frankrl.core.score import FEWEST_FOR_INTERVAL
from frankrl.runs import RunFolder
from frankrl.runs.curves import (
    QUANTITIES,
    NoRowsError,
    RunCurves,
    band_of,
    common_grid,
    grouped,
    middle_by_step,
    on_grid,
    one_of_each_seed,
    read_curves,
    smoothed_curve,
    smoothing_window,
)

_LABELS = {
    "return": "return",
    "length": "episode length\n[env steps]",
    "epsilon": "exploration ε",
    "loss": "loss",
    "mean_q": "mean Q",
}
_HEIGHTS = {"return": 2.2, "length": 1.2, "epsilon": 1.0, "loss": 1.2, "mean_q": 1.2}
"""Heights of the panels, beside each other's."""
_INCHES = 1.65
"""What a height of 1 is on paper."""
_PER_EPISODE = ("return", "length")
# Okabe & Ito's palette without yellow, which is too pale on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")
_INK, _GRID = "#333333", "#e3e5e8"
_LOG_SPAN = 20.0

_Groups = Mapping[tuple[str, str], Sequence[RunFolder]]
_Curves = Mapping[tuple[str, str], Sequence[RunCurves]]


def write_plot(runs: Sequence[RunFolder], path: Path) -> None:
    """Plot one run, or several runs with one curve per environment and preset.

    Args:
        runs: at least one run.
        path: target file, ending in .png.

    Raises:
        MissingExtraError: matplotlib is not installed.
        RunFolderError: a run has no metrics yet.
        SettingError: there is no run, or the path cannot be written.
    """
    if not runs:
        raise SettingError("nothing to plot: name at least one run folder")
    if path.suffix.lower() != ".png":
        raise SettingError(f"a plot is written to a .png file, got {path}")
    figure = draw(runs)
    temporary = path.with_name(f".{path.stem}.new-{os.getpid()}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # A name may have letters that the font lacks; they are drawn as boxes.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            figure.savefig(temporary, format="png", dpi=150)
        system.rename(temporary, path)
    except OSError as error:
        raise SettingError(f"cannot write the plot {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def draw(runs: Sequence[RunFolder]) -> Any:
    """The figure, as a `matplotlib.figure.Figure`: one panel for each quantity that some run has.

    A run that does not act has no episodes and no ε, a cloned one no Q-values.
    """
    try:
        figures = importlib.import_module("matplotlib.figure")
        canvas = importlib.import_module("matplotlib.backends.backend_agg")
    except ModuleNotFoundError as error:
        raise MissingExtraError("frank plot", "matplotlib", "plot") from error
    groups = grouped(runs)
    curves = {key: _one_of_each_seed(members) for key, members in groups.items()}
    read = [run for members in curves.values() for run in members]
    names = [quantity for quantity in QUANTITIES if any(_has(run, quantity) for run in read)]
    heights = [_HEIGHTS[name] for name in names]
    tall = max(sum(heights) * _INCHES, 3)
    figure = figures.Figure(figsize=(9, tall), layout="constrained")
    canvas.FigureCanvasAgg(figure)
    figure.get_layout_engine().set(h_pad=0.07)
    panels = figure.subplots(len(names), sharex=True, height_ratios=heights, squeeze=False)
    axes: dict[str, Any] = dict(zip(names, panels[:, 0], strict=True))
    if len(runs) == 1:
        _draw_run(axes, next(iter(curves.values()))[0])
    else:
        for number, (key, members) in enumerate(curves.items()):
            _draw_group(axes, members, _label(key, curves), number)
        if any(len(run.evaluations.values) for run in read):
            axes["return"].plot([], label="greedy evaluations", **_points(_INK))
    clocks = dict.fromkeys(run.clock for run in read)
    units = dict.fromkeys(run.description.settings.value_unit for run in runs)
    _dress(axes, " or ".join(clocks), " or ".join(units))
    figure.suptitle(
        _title(groups, curves), fontsize=13, fontweight="bold", color=_INK, parse_math=False
    )
    return figure


def _has(run: RunCurves, quantity: str) -> bool:
    """Whether there is anything to draw of a quantity; evaluations are returns, too."""
    of_evaluations = quantity == "return" and len(run.evaluations.values)
    return bool(len(run.curves[quantity].values) or of_evaluations)


def _one_of_each_seed(runs: Sequence[RunFolder]) -> list[RunCurves]:
    """The curves of runs with the same settings; a warning names what is left out.

    Raises:
        NoRowsError: none of them has a row yet.
    """
    read, without = [], []
    for run in runs:
        try:
            read.append(read_curves(run))
        except NoRowsError as error:
            without.append(error)
    if not read:
        raise without[0]
    for error in without:
        warn(f"left out of the plot: {error}")
    chosen = one_of_each_seed(read, lambda run: run.seed, lambda run: run.env_steps)
    if len(chosen) < len(read):
        warn(
            f"{counted(len(read) - len(chosen), 'run')} not drawn: another one has the same "
            "settings and the same seed, and has gone further"
        )
    return chosen


def _draw_run(axes: Mapping[str, Any], run: RunCurves) -> None:
    """Draw one run: training episodes as faint points, and their moving mean."""
    colour = _COLOURS[0]
    for quantity, axis in axes.items():
        curve = run.curves[quantity]
        if not len(curve.values):
            continue
        if quantity not in _PER_EPISODE:
            # A line of a single point is invisible.
            marker = "o" if len(curve.values) == 1 else ""
            axis.plot(*curve, marker=marker, color=colour, linewidth=1.6)
            continue
        window = smoothing_window(len(curve.values))
        axis.plot(*curve, ".", color=colour, alpha=0.3, markersize=4, label="training episode")
        axis.plot(
            *smoothed_curve(curve),
            color=colour,
            linewidth=2,
            label=f"mean of {window} training episodes",
        )
    if len(run.evaluations.values):
        axes["return"].plot(
            *run.evaluations, label="greedy evaluation (mean)", **_points(_COLOURS[1])
        )


def _draw_group(
    axes: Mapping[str, Any], runs: Sequence[RunCurves], label: str, number: int
) -> None:
    """Draw several runs as one curve: their middle and spread."""
    colour = _COLOURS[number % len(_COLOURS)]
    style = _STYLES[number // len(_COLOURS) % len(_STYLES)]
    for quantity, axis in axes.items():
        curves = [run.curves[quantity] for run in runs]
        if quantity in _PER_EPISODE:
            curves = [smoothed_curve(curve) for curve in curves]
        grid = common_grid(curves)
        band = band_of(np.stack([on_grid(curve, grid) for curve in curves]))
        if len(runs) > 1:
            axis.fill_between(grid, band.low, band.high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(grid, band.middle, style, color=colour, linewidth=2, label=label)
    evaluations = middle_by_step([run.evaluations for run in runs])
    if len(evaluations.values):
        axes["return"].plot(*evaluations, **_points(colour))


def _points(colour: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "D",
        "markersize": 6,
        "color": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
    }


def _dress(axes: Mapping[str, Any], clock: str, value_unit: str) -> None:
    """Add labels, grids, scales and the legend.

    Args:
        axes: the panels.
        clock: what the curves are over.
        value_unit: unit of Q-values.
    """
    ticker = importlib.import_module("matplotlib.ticker")
    labels = _LABELS | {"mean_q": f"{_LABELS['mean_q']}\n[{value_unit}]"}
    for quantity, axis in axes.items():
        axis.set_ylabel(labels[quantity], color=_INK)
        axis.grid(color=_GRID, linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color(_INK)
        axis.tick_params(colors=_INK)
    panels = list(axes.values())
    first, last = panels[0], panels[-1]
    first.figure.align_ylabels(panels)
    if "epsilon" in axes:
        axes["epsilon"].set_ylim(-0.03, 1.03)
    if "loss" in axes and _spans_decades(axes["loss"]):
        axes["loss"].set_yscale("log")
    last.set_xlabel(clock, color=_INK)
    last.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    last.set_xlim(left=0)
    if not first.get_legend_handles_labels()[0]:
        return
    legend = first.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _spans_decades(axis: Any) -> bool:
    """Whether all values are positive and spread enough for a logarithmic axis."""
    values = np.concatenate([line.get_ydata() for line in axis.lines] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() > _LOG_SPAN * values.min())


def _label(key: tuple[str, str], curves: _Curves) -> str:
    """Label of a group of runs in the legend."""
    env_id, preset = key
    several = len({other for other, _ in curves}) > 1
    count = len(curves[key])
    name = f"{env_id}, {preset}" if several else preset
    return f"{name} ({counted(count, 'seed')})"


def _title(groups: _Groups, curves: _Curves) -> str:
    env_ids = list(dict.fromkeys(env_id for env_id, _ in groups))
    runs = [run for members in groups.values() for run in members]
    if len(runs) == 1:
        description = runs[0].description
        return f"{env_ids[0]} · preset {description.preset} · seed {description.seed}"
    if len(env_ids) == 1:
        return f"{env_ids[0]} · {_spread(curves)} over seeds"
    return f"{len(env_ids)} different environments: their returns do not compare"


def _spread(curves: _Curves) -> str:
    """Names of the middle and the spread that the curves show."""
    sizes = [len(members) for members in curves.values()]
    if max(sizes) < FEWEST_FOR_INTERVAL:
        return "mean and range"
    if min(sizes) >= FEWEST_FOR_INTERVAL:
        return "interquartile mean and its 95 % interval"
    return f"mean and range (from {FEWEST_FOR_INTERVAL} seeds on: interquartile, 95 % interval)"
