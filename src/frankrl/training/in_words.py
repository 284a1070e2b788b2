"""Results of trainings and evaluations as lines of text."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from frankrl.config import Clock
from frankrl.core.figures import counted, figure

if TYPE_CHECKING:
    from frankrl.training.result import TrainingResult


def spread_of(summary: Mapping[str, Any]) -> float:
    """How far a mean return is from certain: half the width of its 95 % interval.

    Args:
        summary: as `Evaluation.summary` gives it, and as it stands in a run's report.
    """
    low, high = summary["interval_95"]
    return (high - low) / 2


def mean_in_words(summary: Mapping[str, Any]) -> str:
    """Mean return, spread over episodes and interval of the mean.

    Args:
        summary: as `Evaluation.summary` gives it.
    """
    low, high = summary["interval_95"]
    shown = functools.partial(figure, spread=spread_of(summary))
    return (
        f"mean return {shown(summary['mean_return'])} ± {shown(summary['std_return'])} "
        f"(95 % interval of the mean {shown(low)} … {shown(high)})"
    )


def evaluation_lines(summary: Mapping[str, Any], threshold: float | None) -> list[str]:
    """An evaluation as lines of text.

    Args:
        summary: as `Evaluation.summary` gives it.
        threshold: mean return at which the environment counts as solved; None: say nothing of it.
    """
    shown = functools.partial(figure, spread=spread_of(summary))
    lines = [
        f"Greedy evaluation over {counted(summary['episodes'], 'episode')}: "
        f"{mean_in_words(summary)}",
        f"  worst {shown(summary['min_return'])}, median {shown(summary['median_return'])}, best "
        f"{shown(summary['max_return'])}; mean length {figure(summary['mean_length'])} steps",
    ]
    if "success_rate" in summary:
        lines.append(f"  success rate {100 * summary['success_rate']:.0f} %")
    if threshold is not None:
        verdict = "reached" if summary["mean_return"] >= threshold else "not reached"
        lines.append(f"  the environment counts as solved at {figure(threshold)}: {verdict}")
    return lines


def outcome_lines(result: "TrainingResult") -> list[str]:
    """The result of a training as lines of text."""
    done, clock = counted(result.updates, "update"), result.clock
    if clock is not Clock.UPDATES:
        done = f"{counted(result.env_steps, clock.unit)} and {done}"
    lines = [
        f"{'Stopped' if result.stopped else 'Finished'} after {done}, {result.seconds:.1f} s",
    ]
    if result.stop_reason is not None:
        lines.append(f"  because {result.stop_reason}")
    if result.solved:
        lines.append(
            f"Solved at {clock.at(result.solved['env_steps'])}, "
            f"after {result.solved['seconds']:.1f} s"
        )
    if result.evaluation:
        lines += evaluation_lines(result.evaluation, None)
    if result.estimate:
        low, high = result.estimate["interval_95_over_first_states"]
        shown = functools.partial(figure, spread=(high - low) / 2)
        lines += [
            f"Estimate by fitted Q evaluation on {result.estimate['dataset']}, nothing was played: "
            f"discounted return {shown(result.estimate['estimated_discounted_return'])}",
            "  the data's own discounted return is "
            f"{shown(result.estimate['discounted_return_of_the_data'])}",
        ]
    if failures := len(result.environment_restarts):
        lines.append(f"{counted(failures, 'failure')} of environments, which were made anew")
    lines += [
        f"Not bit-exact from {clock.at(mark['env_steps'])} on, because {mark['reason']}"
        for mark in result.not_reproducible
    ]
    return lines
