"""Results as lines of text, and what to type next."""

import importlib.util
import shlex

from frankrl.core.absent import is_absent
from frankrl.tabular import table_size
from frankrl.training.in_words import outcome_lines
from frankrl.training.result import TrainingResult
from frankrl.training.state import Experiment


def ending_lines(result: TrainingResult, experiment: Experiment, data: str = "") -> list[str]:
    """The result of a training, and what to type next.

    Args:
        result: the result.
        experiment: what was trained.
        data: the folder of the data set that this command has read; empty: it has read none.
    """
    run = shlex.quote(str(result.run))
    next_ones = [f"  frank {words}" for words in _next_commands(result, experiment, run, data)]
    return ["", *outcome_lines(result), f"Run folder: {run}", "", "Next:", *next_ones]


def published_lines(result: TrainingResult) -> list[str]:
    """The result of a training that was published, and what to type next."""
    address, run = shlex.quote(str(result.published)), shlex.quote(str(result.run))
    lines = ["", *outcome_lines(result), f"Published at: {address}", "", "Next:"]
    if result.run.exists():
        return [*lines, f"  frank evaluate {run}"]
    return [*lines, f"  frank fetch {address} --out runs/NAME", "  frank evaluate runs/NAME"]


def _next_commands(
    result: TrainingResult, experiment: Experiment, run: str, data: str
) -> list[str]:
    """The commands that work for this run with the packages that are installed."""
    settings, spec = experiment.settings, experiment.spec
    has_environment, has_memory = not is_absent(spec.env_id), settings.sequences is not None
    dataset = f" --dataset {shlex.quote(data)}" if data else ""
    commands = []
    if result.stopped:
        # With its data set a run without an environment ends with an estimate.
        is_estimated = not has_environment and not has_memory
        commands.append(f"train --resume {run}{dataset if is_estimated else ''}")
    if has_environment:
        commands.append(f"evaluate {run}")
    elif dataset and not has_memory:
        commands.append(f"evaluate {run} --fqe{dataset}")
    if spec.can_be_filmed:
        commands.append(f"film {run}")
    has_q_values = settings.learning.algorithm != "bc" and not has_memory
    if has_environment and has_q_values and table_size(spec) is not None:
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
