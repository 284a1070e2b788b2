"""What the runs of several seeds have given."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frankrl.core.figures import counted, figure
from frankrl.core.score import FEWEST_FOR_INTERVAL, Score, score
from frankrl.core.seeds import seeds_in_words
from frankrl.jobs import Outcome, outcome_of
from frankrl.runs.group import RunGroup


@dataclass(frozen=True, repr=False)
class SeedsResult:
    """The outcomes of runs that differ in their seeds alone; it prints as a table."""

    path: Path
    """The folder of the group."""
    runs: list[Path]
    """The run folders, in the order of the seeds."""
    seeds: tuple[int, ...]
    outcomes: list[Outcome]

    @classmethod
    def of_group(cls, group: RunGroup) -> "SeedsResult":
        """The outcomes of the runs of a group that are over.

        Raises:
            RunFolderError: the metrics of a run cannot be read.
        """
        found = {seed: outcome_of(group.path_of(seed)) for seed in group.seeds}
        over = {seed: outcome for seed, outcome in found.items() if outcome is not None}
        return cls(group.path, list(map(group.path_of, over)), tuple(over), list(over.values()))

    def __fspath__(self) -> str:
        """Its folder, which may stand wherever a path does."""
        return str(self.path)

    def __repr__(self) -> str:
        rows = [
            f"  seed {seed}: {_in_words(outcome)}"
            for seed, outcome in zip(self.seeds, self.outcomes, strict=True)
        ]
        return "\n".join([self.summary(), *rows])

    @property
    def final(self) -> Score | None:
        """The score of the final policies; None without final evaluations."""
        returns = [each.final_return for each in self.outcomes if each.final_return is not None]
        return score(np.array(returns)) if returns else None

    @property
    def num_scored(self) -> int:
        """The number of seeds with a final evaluation."""
        return sum(each.final_return is not None for each in self.outcomes)

    def summary(self) -> str:
        """The score in words."""
        which = f"{counted(len(self.seeds), 'seed')} ({seeds_in_words(self.seeds)})"
        if self.final is None:
            return f"{which}: no final evaluations"
        if self.num_scored < len(self.seeds):
            which = f"{self.num_scored} of {which} with a final evaluation"
        return f"{which}: {score_in_words(self.final, self.num_scored)}"

    def report(self) -> list[dict[str, Any]]:
        """The outcomes as JSON data, a record for each seed."""
        return [
            {"run": str(run), "seed": seed, **outcome._asdict()}
            for run, seed, outcome in zip(self.runs, self.seeds, self.outcomes, strict=True)
        ]


def score_report(found: Score, num_seeds: int) -> dict[str, Any]:
    """A score of returns as JSON data."""
    few = num_seeds < FEWEST_FOR_INTERVAL
    return {
        "middle": found.middle,
        "middle_is": "mean" if few else "interquartile mean",
        "low": found.low,
        "high": found.high,
        "low_to_high_is": "range" if few else "95 % bootstrap interval",
    }


def score_in_words(found: Score, num_seeds: int) -> str:
    """A score of returns as text."""
    words = [figure(value, (found.high - found.low) / 2) for value in found]
    if num_seeds < FEWEST_FOR_INTERVAL:
        return f"mean return {words[0]} (range {words[1]} … {words[2]})"
    return f"interquartile mean of the returns {words[0]} (95 % interval {words[1]} … {words[2]})"


def _in_words(outcome: Outcome) -> str:
    words = []
    if outcome.stop_reason is not None:
        words.append(f"ended at env step {outcome.env_steps:,}: {outcome.stop_reason}")
    if outcome.final_return is not None:
        words.append(f"mean return {figure(outcome.final_return, 0.05)}")
    if outcome.solved_env_steps is not None:
        words.append(f"solved at env step {outcome.solved_env_steps:,}")
    return ", ".join(words) or f"{outcome.env_steps:,} env steps"
