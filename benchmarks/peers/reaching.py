"""When a library that trains in one compiled program first has a return, by its own evaluations.

Such a program does not come back before its end. So what it tells of an evaluation is heard while
it runs, and the process ends with an answer at the first that is good enough.

Stands on the standard library alone: these libraries do not have Gymnasium.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from frankrl.cli.clock import process_started


@dataclass(frozen=True)
class ReachJob:
    """What is measured."""

    seed: int
    goal: float
    """Mean return to reach."""
    episodes: int
    """Greedy episodes of an evaluation."""
    seconds: float
    """When to give up, after the start of the process."""
    checkout: str | None = None
    """Where the library's source is, if it is no package."""

    @classmethod
    def given(cls) -> "ReachJob":
        """The job on the command line."""
        return cls(**json.loads(sys.argv[1]))


@dataclass
class Reaching:
    """Evaluations of a run, up to the first that reaches the goal."""

    job: ReachJob
    evaluations: list[tuple[float, int, float]] = field(default_factory=list)
    """Seconds since the start of the process, env steps and mean return."""

    def note(self, env_steps: int, mean_return: float) -> None:
        """Take an evaluation; ends the process if the goal is reached, or the time over."""
        seconds = time.perf_counter() - process_started()
        self.evaluations.append((round(seconds, 3), env_steps, mean_return))
        if mean_return >= self.job.goal:
            self.leave({"seconds": seconds, "env_steps": env_steps})
        if seconds > self.job.seconds:
            self.leave()

    def leave(self, reached: dict[str, Any] | None = None) -> None:
        """Answer and end the process, without waiting for what is still computed."""
        print(json.dumps({"reached": reached, "evaluations": self.evaluations}), flush=True)
        os._exit(0)
