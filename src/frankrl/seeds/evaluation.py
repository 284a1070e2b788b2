"""Greedy episodes of the agents of all seeds, as one score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.core.errors import RunFolderError
from frankrl.core.figures import counted, figure
from frankrl.core.score import Score, score
from frankrl.core.seeds import seeds_in_words
from frankrl.runs.group import RunGroup
from frankrl.seeds.result import score_in_words
from frankrl.training.evaluation import Evaluation


@dataclass(frozen=True, repr=False)
class SeedsEvaluation:
    """The evaluations of runs that differ in their seeds alone; it prints as a table."""

    seeds: tuple[int, ...]
    evaluations: list[Evaluation]
    """One for each seed."""

    @property
    def score(self) -> Score:
        """The score of the mean returns over the seeds."""
        return score(np.array([each.mean_return for each in self.evaluations]))

    def __repr__(self) -> str:
        rows = [
            f"  seed {seed}: mean return {figure(each.mean_return, 0.05)}"
            for seed, each in zip(self.seeds, self.evaluations, strict=True)
        ]
        which = f"{counted(len(self.seeds), 'seed')} ({seeds_in_words(self.seeds)})"
        return "\n".join([f"{which}: {score_in_words(self.score, len(self.seeds))}", *rows])

    def summary(self) -> dict[str, Any]:
        """The evaluations as JSON data: the score, and a record for each seed."""
        found = self.score
        rows = zip(self.seeds, self.evaluations, strict=True)
        return {
            "interquartile_mean": found.middle,
            "interval_95": [found.low, found.high],
            "runs": [{"seed": seed, **each.summary()} for seed, each in rows],
        }


def evaluate_group(group: RunGroup, evaluate_run: Callable[[Path], Evaluation]) -> SeedsEvaluation:
    """Evaluate the agents of a group.

    Args:
        group: the group; its runs that have not begun are passed over.
        evaluate_run: evaluates the agent of a run folder.

    Raises:
        FrankError: no run has begun, or one cannot be evaluated.
    """
    begun = set(group.begun())
    runs = {seed: run for seed in group.seeds if (run := group.path_of(seed)) in begun}
    if not runs:
        raise RunFolderError(f"no run of {group.path} has begun: there is nothing to evaluate")
    return SeedsEvaluation(tuple(runs), [evaluate_run(run) for run in runs.values()])
