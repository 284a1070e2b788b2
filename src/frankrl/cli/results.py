"""Results as lines of text, and what to type next."""

import importlib.util
import shlex

from frankrl.core.absent import is_absent
from frankrl.core.figures import figure
from frankrl.tabular import table_size
from frankrl.training.in_words import outcome_lines
from frankrl.training.result import TrainingResult
from frankrl.training.state import Experiment

_BEST = " --best"


def ending_lines(result: TrainingResult, experiment: Experiment, data: str = "") -> list[str]:
    """The result of a training, and what to type next.

    Args:
        result: the result.
        experiment: what was trained.
        data: the folder of the data set that this command has read; empty: it has read none.
    """
    run = shlex.quote(str(result.run))
    next_ones = [f"  frank {words}" for words in _next_commands(result, experiment, run, data)]
    lines = ["", *outcome_lines(result), *_on_best(result)]
    return [*lines, f"Run folder: {run}", "", "Next:", *next_ones]


def published_lines(result: TrainingResult) -> list[str]:
    """The result of a training that was published, and what to type next."""
    address, run = shlex.quote(str(result.published)), shlex.quote(str(result.run))
    lines = ["", *outcome_lines(result), *_on_best(result), f"Published at: {address}", "", "Next:"]
    best = _BEST if _has_lost_its_best(result) else ""
    if result.run.exists():
        return [*lines, f"  frank evaluate {run}{best}"]
    fetch = f"  frank fetch {address} --out runs/NAME"
    return [*lines, fetch, f"  frank evaluate runs/NAME{best}"]


def _has_lost_its_best(result: TrainingResult) -> bool:
    """Whether an earlier agent was clearly better than the newest.

    The best of many short evaluations is above the mean by chance alone, so it must also exceed
    the interval of the final one by a standard deviation of its returns.
    """
    best, final = result.best, result.evaluation
    if best is None or final is None or best["env_steps"] == result.env_steps:
        return False
    _, high = final["interval_95"]
    return best["mean_return"] > high + final["std_return"]


def _on_best(result: TrainingResult) -> list[str]:
    """A line on the best agent of a run whose newest is clearly worse."""
    if result.best is None or not _has_lost_its_best(result):
        return []
    moment, best = result.clock.at(result.best["env_steps"]), figure(result.best["mean_return"])
    return [f"The agent at {moment} was better, its mean return was {best}:{_BEST} takes that one"]


def _next_commands(
    result: TrainingResult, experiment: Experiment, run: str, data: str
) -> list[str]:
    """The commands that work for this run with the packages that are installed."""
    settings, spec = experiment.settings, experiment.spec
    has_environment, has_memory = not is_absent(spec.env_id), settings.sequences is not None
    dataset = f" --dataset {shlex.quote(data)}" if data else ""
    best = _BEST if _has_lost_its_best(result) else ""
    commands = []
    if result.stopped:
        # With its data set a run without an environment ends with an estimate.
        is_estimated = not has_environment and not has_memory
        commands.append(f"train --resume {run}{dataset if is_estimated else ''}")
    if has_environment:
        commands.append(f"evaluate {run}{best}")
    elif dataset and not has_memory:
        commands.append(f"evaluate {run} --fqe{dataset}")
    if spec.can_be_filmed:
        commands.append(f"film {run}{best}")
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
