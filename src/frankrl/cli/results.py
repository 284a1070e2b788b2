"""Results as lines of text, and what to type next."""

import functools
import importlib.util
import shlex
from typing import Any

from frankrl.core.figures import counted, figure
from frankrl.environments import EnvironmentSpec
from frankrl.tabular import table_size
from frankrl.training.evaluation import spread_of
from frankrl.training.session import TrainingResult


def ending_lines(result: TrainingResult, spec: EnvironmentSpec) -> list[str]:
    """The result of a training, and what to type next."""
    lines = [
        "",
        f"{'Stopped' if result.stopped else 'Finished'} after "
        f"{counted(result.env_steps, 'env step')} and {counted(result.updates, 'update')}, "
        f"{result.seconds:.1f} s",
    ]
    if result.stop_reason is not None:
        lines.append(f"  because {result.stop_reason}")
    if result.solved:
        lines.append(
            f"Solved at env step {result.solved['env_steps']:,}, "
            f"after {result.solved['seconds']:.1f} s"
        )
    if result.evaluation:
        lines += evaluation_lines(result.evaluation, None)
    if failures := len(result.environment_restarts):
        lines.append(f"{counted(failures, 'failure')} of environments, which were made anew")
    lines += [
        f"Not bit-exact from env step {mark['env_steps']:,} on, because {mark['reason']}"
        for mark in result.not_reproducible
    ]
    run = shlex.quote(str(result.run))
    next_ones = [f"  frank {words}" for words in _next_commands(result, spec, run)]
    return [*lines, f"Run folder: {run}", "", "Next:", *next_ones]


def _next_commands(result: TrainingResult, spec: EnvironmentSpec, run: str) -> list[str]:
    """The commands that work for this run with the packages that are installed."""
    commands = [f"train --resume {run}"] if result.stopped else []
    commands.append(f"evaluate {run}")
    if spec.can_be_filmed:
        commands.append(f"film {run}")
    if table_size(spec) is not None:
        commands.append(f"explain {run}")
    if result.updates and not result.not_reproducible:
        commands.append(f"explain {run} --update {result.updates}")
    if _are_installed("matplotlib"):
        commands.append(f"plot {run}")
    if _are_installed("starlette", "uvicorn", "plotly"):
        commands.append(f"dashboard {run}")
    return commands


def _are_installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def evaluation_lines(summary: dict[str, Any], threshold: float | None) -> list[str]:
    """An evaluation as lines of text.

    Args:
        summary: as `Evaluation.summary` gives it.
        threshold: mean return at which the environment counts as solved; None: say nothing of it.
    """
    low, high = summary["interval_95"]
    shown = functools.partial(figure, spread=spread_of(summary))
    lines = [
        f"Greedy evaluation over {counted(summary['episodes'], 'episode')}: mean return "
        f"{shown(summary['mean_return'])} ± {shown(summary['std_return'])} "
        f"(95 % interval of the mean {shown(low)} … {shown(high)})",
        f"  worst {shown(summary['min_return'])}, median {shown(summary['median_return'])}, best "
        f"{shown(summary['max_return'])}; mean length {figure(summary['mean_length'])} steps",
    ]
    if "success_rate" in summary:
        lines.append(f"  success rate {100 * summary['success_rate']:.0f} %")
    if threshold is not None:
        verdict = "reached" if summary["mean_return"] >= threshold else "not reached"
        lines.append(f"  the environment counts as solved at {figure(threshold)}: {verdict}")
    return lines
