"""The learning curve of a run as an SVG picture, drawn without matplotlib."""

import contextlib
from pathlib import Path

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import FrankError
from frankrl.core.figures import figure
from frankrl.inline.block import as_text
from frankrl.runs.curves import Curve, read_curves, smoothed_curve
from frankrl.runs.folder import RunFolder

_WIDTH, _HEIGHT = 560, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 40
"""Room around the curves, for the numbers of the axes. [pixels]"""
_MAX_POINTS = 280
"""A curve with more points is thinned: there are no more pixels to see them by."""
_COLOUR, _EVALUATED = "#0072B2", "#D55E00"


def learning_curve(run: Path) -> str:
    """Return per episode over env steps, smoothed, and the greedy evaluations as points.

    Args:
        run: a run folder.

    Returns:
        An `<svg>`; empty if the run has nothing to draw.
    """
    with contextlib.suppress(FrankError):
        read = read_curves(RunFolder.open(run))
        episodes = read.curves["return"]
        smooth = smoothed_curve(episodes) if len(episodes.values) else episodes
        return curve_svg(_thinned(smooth), read.evaluations, read.clock)
    return ""


def curve_svg(episodes: Curve, evaluations: Curve, clock: str = "env steps") -> str:
    """A line and points over common axes.

    Args:
        episodes: the line.
        evaluations: the points.
        clock: what both are over.

    Returns:
        An `<svg>`; empty if both are.
    """
    steps = np.concatenate([episodes.env_steps, evaluations.env_steps])
    values = np.concatenate([episodes.values, evaluations.values])
    if not len(steps):
        return ""
    last, low, high = float(steps.max()), float(values.min()), float(values.max())
    across = _scale(0.0, last, _LEFT, _WIDTH - _RIGHT)
    up = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in zip(*episodes, strict=True))
    points = "".join(
        f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{_EVALUATED}"/>'
        for x, y in zip(*evaluations, strict=True)
    )
    words = f"return from {figure(low)} to {figure(high)} over {last:,.0f} {clock}"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="{as_text(words)}" font-family="sans-serif" font-size="11" '
        f'fill="currentColor" style="max-width:100%">'
        f"{_axes(low, high, last, up, clock)}"
        f'<polyline points="{line}" fill="none" stroke="{_COLOUR}" stroke-width="2"/>{points}'
        f"{_legend(bool(len(evaluations.values)))}</svg>"
    )


def _scale(low: float, high: float, first: float, last: float):
    """Maps low … high linearly to first … last; equal values lie in the middle."""
    span = high - low

    def place(value: float) -> float:
        share = (value - low) / span if span > 0 else 0.5
        return first + share * (last - first)

    return place


def _axes(low: float, high: float, last: float, up, clock: str) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    spread = (high - low) / 10
    marks = dict.fromkeys([low, (low + high) / 2, high])
    values = "".join(
        f'<text x="{_LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">'
        f"{as_text(figure(value, spread))}</text>"
        for value in marks
    )
    frame = f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="currentColor"/>'
    return (
        f"{frame}{values}"
        f'<text x="{_LEFT}" y="{bottom + 16}">0</text>'
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">{last:,.0f} {clock}</text>'
    )


def _legend(has_evaluations: bool) -> str:
    middle = _HEIGHT - 8
    points = f' <tspan fill="{_EVALUATED}">● greedy evaluations</tspan>' if has_evaluations else ""
    return (
        f'<text x="{_LEFT}" y="{middle}"><tspan fill="{_COLOUR}">━ return per training episode, '
        f"smoothed</tspan>{points}</text>"
    )


def _thinned(curve: Curve) -> Curve:
    """At most `_MAX_POINTS` points, the first and the last among them."""
    count = len(curve.values)
    if count <= _MAX_POINTS:
        return curve
    kept: Float[np.ndarray, " kept"] = np.linspace(0, count - 1, _MAX_POINTS).round().astype(int)
    return Curve(curve.env_steps[kept], curve.values[kept])
