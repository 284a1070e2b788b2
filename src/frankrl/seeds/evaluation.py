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
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.group import RunGroup
from frankrl.seeds.result import score_in_words, score_report
from frankrl.training.evaluation import Evaluation


@dataclass(frozen=True, repr=False)
class SeedsEvaluation:
    """The evaluations of runs that differ in their seeds alone; it prints as a table."""

    seeds: tuple[int, ...]
    evaluations: list[Evaluation]
    """One for each seed."""
    env_steps: tuple[int, ...]
    """Env steps after which each run's agent was saved."""
    missing: tuple[int, ...] = ()
    """Seeds of the group whose runs have no checkpoint yet."""

    @property
    def score(self) -> Score:
        """The score of the mean returns over the seeds."""
        return score(np.array([each.mean_return for each in self.evaluations]))

    def __repr__(self) -> str:
        rows = [
            f"  seed {seed}: mean return {figure(each.mean_return, 0.05)}"
            for seed, each in zip(self.seeds, self.evaluations, strict=True)
        ]
        which = f"{counted(len(self.seeds), 'seed')} ({seeds_in_words(self.seeds)}){self._notes()}"
        return "\n".join([f"{which}: {score_in_words(self.score, len(self.seeds))}", *rows])

    def _notes(self) -> str:
        """What makes the runs unequal."""
        notes = ""
        least, most = min(self.env_steps), max(self.env_steps)
        if least < most:
            notes += f", trained for {least:,} to {most:,} env steps"
        if self.missing:
            has = "has" if len(self.missing) == 1 else "have"
            notes += f", without {seeds_in_words(self.missing)}, which {has} no checkpoint yet"
        return notes

    def summary(self) -> dict[str, Any]:
        """The evaluations as JSON data: the score, and a record for each seed."""
        rows = zip(self.seeds, self.env_steps, self.evaluations, strict=True)
        return {
            "score": score_report(self.score, len(self.seeds)),
            "missing": list(self.missing),
            "runs": [
                {"seed": seed, "env_steps": env_steps, **each.summary()}
                for seed, env_steps, each in rows
            ],
        }


def evaluate_group(
    group: RunGroup, evaluate_run: Callable[[Path], tuple[int, Evaluation]]
) -> SeedsEvaluation:
    """Evaluate the agents of a group.

    Args:
        group: the group; its runs that have no checkpoint yet are passed over.
        evaluate_run: evaluates the agent of a run folder; returns its env steps, too.

    Raises:
        FrankError: no run has a checkpoint, or one cannot be evaluated.
    """
    begun = set(group.begun())
    there = [
        seed
        for seed in group.seeds
        if (run := group.path_of(seed)) in begun
        and list_checkpoints(RunFolder.open(run).checkpoints)
    ]
    if not there:
        raise RunFolderError(
            f"no run of {group.path} has a checkpoint yet: there is nothing to evaluate"
        )
    saved = set(there)
    missing = tuple(seed for seed in group.seeds if seed not in saved)
    env_steps, evaluations = zip(
        *(evaluate_run(group.path_of(seed)) for seed in there), strict=True
    )
    return SeedsEvaluation(tuple(there), list(evaluations), env_steps, missing)
