"""Curves of a run's metrics, for plots."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import RunFolderError
from frankrl.core.score import Scores, scores
from frankrl.runs.folder import RunFolder
from frankrl.runs.metrics import MetricsReader
from frankrl.runs.report import read_report

QUANTITIES: tuple[str, ...] = ("return", "length", "epsilon", "loss", "mean_q")
_WITHOUT_EFFECT = (
    "total_env_steps",
    "total_updates",
    "worker_processes",
    "restart_failed_envs",
    "info_metrics",
    "device",
    "replay_device",
    "acting",
)
"""Settings that decide nothing about what is learned at an env step."""
Member = TypeVar("Member")


class NoRowsError(RunFolderError):
    """There is nothing to draw of a run yet."""


class Curve(NamedTuple):
    """A quantity over the course of training; both arrays hold finite numbers only."""

    env_steps: Float[np.ndarray, " point"]
    values: Float[np.ndarray, " point"]


_NO_CURVE = Curve(np.zeros(0), np.zeros(0))


class RunCurves(NamedTuple):
    """The curves of one run."""

    curves: Mapping[str, Curve]
    """For each of `QUANTITIES`; return and length have a point per training episode."""
    evaluations: Curve
    """Mean return of the periodic evaluations."""
    seed: int
    clock: str = "env steps"
    """What they are over: env steps, or updates of a run that does not act."""

    @property
    def env_steps(self) -> float:
        """How far the curves reach. [env steps]"""
        return max(curve.env_steps[-1] for curve in self.curves.values() if len(curve.env_steps))


def read_curves(run: RunFolder) -> RunCurves:
    """The curves of a run.

    Raises:
        NoRowsError: there is nothing to draw yet.
        RunFolderError: there are no metrics yet, or they cannot be read.
    """
    reader = MetricsReader(run.metrics)
    try:
        episodes, training = reader.columns("episodes"), reader.columns("training")
        evaluations = reader.columns("evaluations", "purpose = 'progress'")
    finally:
        reader.close()
    acts = not run.description.settings.is_offline
    curves = {
        "return": _curve(episodes, "episode_return"),
        "length": _curve(episodes, "length"),
        "epsilon": _curve(training, "epsilon") if acts else _NO_CURVE,
        "loss": _curve(training, "loss"),
        "mean_q": _curve(training, "mean_q"),
    }
    if not any(len(curve.values) for curve in curves.values()):
        raise NoRowsError(
            f"{run.path} has nothing to plot: its metrics hold no row; {_next_row(run)}"
        )
    about = run.description
    return RunCurves(curves, _curve(evaluations, "mean_return"), about.seed, about.settings.clock)


def _next_row(run: RunFolder) -> str:
    """When there will be a row, or why there is none."""
    settings = run.description.settings
    name = settings.clock.named("log_every")
    if read_report(run.path) is None:
        return f"the first is written after {settings.log_every:,} {settings.clock} ({name})"
    return f"it has ended before the first, which {name} sets to {settings.log_every:,}"


def _curve(columns: Mapping[str, np.ndarray], name: str) -> Curve:
    """A column over env steps, without missing values."""
    env_steps = columns["env_steps"].astype(np.float64)
    values = columns[name].astype(np.float64)
    finite = np.isfinite(values)
    return Curve(env_steps[finite], values[finite])


def smoothing_window(num_points: int) -> int:
    """An odd number of points to average over: a fifteenth of all, at least 5, at most 101."""
    return min(max(num_points // 15, 5), 101) | 1


def smoothed(values: Float[np.ndarray, " point"], window: int) -> Float[np.ndarray, " point"]:
    """The mean of the `window` points around each point; of fewer points near the ends."""
    half = window // 2
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    first = np.maximum(index - half, 0)
    last = np.minimum(index + half + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def smoothed_curve(curve: Curve) -> Curve:
    """A curve of single episodes, smoothed with a window that depends on its length."""
    window = smoothing_window(len(curve.values))
    return Curve(curve.env_steps, smoothed(curve.values, window))


def common_grid(curves: Sequence[Curve], num_points: int = 200) -> Float[np.ndarray, " point"]:
    """Evenly spaced env steps from the first to the last point of any curve."""
    measured = [curve.env_steps for curve in curves if len(curve.env_steps)]
    if not measured:
        return np.zeros(0)
    first = min(float(steps[0]) for steps in measured)
    last = max(float(steps[-1]) for steps in measured)
    return np.linspace(first, last, num_points)


def on_grid(curve: Curve, grid: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
    """A curve at other env steps, linearly interpolated; NaN beyond its ends."""
    if not len(curve.values):
        return np.full(len(grid), np.nan)
    return np.interp(grid, curve.env_steps, curve.values, left=np.nan, right=np.nan)


def band_of(values: Float[np.ndarray, "run point"]) -> Scores:
    """Several runs as one curve: their score at each point.

    A point counts where at least half of the runs have data.
    """
    enough = np.isfinite(values).sum(axis=0) * 2 >= values.shape[0]
    return scores(np.where(enough, values, np.nan))


def middle_by_step(curves: Sequence[Curve]) -> Curve:
    """The middle of several runs at each of the env steps that a run was evaluated at."""
    env_steps = np.concatenate([curve.env_steps for curve in curves])
    steps, places = np.unique(env_steps, return_inverse=True)
    values = np.full((len(curves), len(steps)), np.nan)
    runs = np.repeat(np.arange(len(curves)), [len(curve.env_steps) for curve in curves])
    values[runs, places] = np.concatenate([curve.values for curve in curves])
    return Curve(steps, scores(values).middle)


def grouped(runs: Iterable[RunFolder]) -> dict[tuple[str, str], list[RunFolder]]:
    """Runs by environment and name, in order of their first appearance.

    The name is the preset and, where runs of one preset differ in what was chosen for their
    learning, those settings: runs that differ in nothing but their seed are one curve.
    """
    unique = list({run.path.resolve(): run for run in runs}.values())
    groups: dict[tuple[str, str], list[RunFolder]] = {}
    for run in unique:
        own = _chosen(run)
        alike = [
            _chosen(other)
            for other in unique
            if (other.description.env_id, other.description.preset)
            == (run.description.env_id, run.description.preset)
        ]
        # A setting that is idle in another run is missing there; then the choice itself differs.
        differing = [
            name for name in own if any(other.get(name, own[name]) != own[name] for other in alike)
        ]
        name = ", ".join([run.description.preset, *(f"{n}={own[n]}" for n in differing)])
        groups.setdefault((run.description.env_id, name), []).append(run)
    return groups


def one_of_each_seed(
    members: Iterable[Member],
    seed_of: Callable[[Member], int],
    env_steps_of: Callable[[Member], float],
) -> list[Member]:
    """One run for each seed, in order of first appearance: the one that has gone furthest.

    Two runs of one seed are the same run twice, so they say nothing about the spread over seeds.

    Args:
        members: runs with the same choices.
        seed_of: the seed of a run.
        env_steps_of: how far a run has gone.
    """
    furthest: dict[int, Member] = {}
    for member in members:
        seed = seed_of(member)
        if seed not in furthest or env_steps_of(member) > env_steps_of(furthest[seed]):
            furthest[seed] = member
    return list(furthest.values())


def _chosen(run: RunFolder) -> dict[str, Any]:
    """The settings that were chosen and decide how a run learns, by short name.

    Its length does not decide that, nor do processes and devices. A duration that follows the
    budget was not chosen. Idle settings decide nothing and are left out.
    """
    settings = run.description.settings
    chosen = {
        name: value
        for group, values in settings.to_tables().items()
        if group not in ("evaluation", "saving")
        for name, value in values.items()
        if name not in _WITHOUT_EFFECT
    }
    follow = [name for name in settings.following_the_budget() if name in chosen]
    return chosen | dict.fromkeys(follow, settings.budget_name)
