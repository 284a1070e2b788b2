"""Results as lines of text, and what to type next."""

import importlib.util
import shlex

from frankrl.environments import EnvironmentSpec, is_absent
from frankrl.tabular import table_size
from frankrl.training.in_words import outcome_lines
from frankrl.training.result import TrainingResult


def ending_lines(result: TrainingResult, spec: EnvironmentSpec) -> list[str]:
    """The result of a training, and what to type next."""
    run = shlex.quote(str(result.run))
    next_ones = [f"  frank {words}" for words in _next_commands(result, spec, run)]
    return ["", *outcome_lines(result), f"Run folder: {run}", "", "Next:", *next_ones]


def published_lines(result: TrainingResult) -> list[str]:
    """The result of a training that was published, and what to type next."""
    address, run = shlex.quote(str(result.published)), shlex.quote(str(result.run))
    lines = ["", *outcome_lines(result), f"Published at: {address}", "", "Next:"]
    if result.run.exists():
        return [*lines, f"  frank evaluate {run}"]
    return [*lines, f"  frank fetch {address} --out runs/NAME", "  frank evaluate runs/NAME"]


def _next_commands(result: TrainingResult, spec: EnvironmentSpec, run: str) -> list[str]:
    """The commands that work for this run with the packages that are installed."""
    commands = [f"train --resume {run}"] if result.stopped else []
    how = " --fqe --dataset NAME" if is_absent(spec.env_id) else ""
    commands.append(f"evaluate {run}{how}")
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
