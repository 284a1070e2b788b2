"""The outcome of a run, as Python, as its report, and in a notebook."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frankrl.config import Clock
from frankrl.core.errors import RunFolderError
from frankrl.core.figures import counted
from frankrl.core.text import shown as shown_text
from frankrl.inline.block import html_block
from frankrl.inline.curve import learning_curve
from frankrl.inline.media import newest_film
from frankrl.training.in_words import mean_in_words, outcome_lines


@dataclass(frozen=True, repr=False)
class TrainingResult:
    """The outcome of a run."""

    run: Path
    """The run folder."""
    env_steps: int
    updates: int
    seconds: float
    """Time since the run began; on the command line since the process started."""
    startup_seconds: float
    """Part of it up to the end of the first round: imports, environments, compilation."""
    solved: dict[str, Any] | None
    """`env_steps` and `seconds` of the first policy that reached the reward threshold."""
    best: dict[str, Any] | None
    """`env_steps` and `mean_return` of the best evaluation during training; its agent is
    `load(run, best=True)`."""
    evaluation: dict[str, Any] | None
    """Greedy episodes of the final policy; None if the run was stopped before its end, or without
    a final evaluation."""
    not_reproducible: list[dict[str, Any]]
    """`env_steps` from which the run may differ in its bits from an uninterrupted one, and the
    `reason`; empty for nearly every run."""
    clock: Clock
    """What the run counts, and what is called `env_steps` here: `env steps`, or `updates` of a run
    that does not act."""
    environment_restarts: list[dict[str, Any]] = field(default_factory=list)
    """`env_steps`, `env_index`, `reason` and `episode` of each time that a training environment
    failed and was made anew (`restart_failed_envs`)."""
    stopped: bool = False
    """Whether a stop was requested before its end."""
    stop_reason: str | None = None
    """Why, if `on_event` has returned a `Stop`; None for a signal."""
    estimate: dict[str, Any] | None = None
    """Of a run without an environment: the discounted return of its final policy by fitted Q
    evaluation, an estimate; else None."""
    published: str | None = None
    """Where the run is published, if it was trained with `publish`. Without `out`, its run folder
    is removed after that: `frankrl.fetch` makes one anew."""

    def __repr__(self) -> str:
        lines = [f"{outcome_lines(self)[0]}: {self.run}"]
        if self.evaluation:
            lines.append(f"  {self._evaluated()}: {mean_in_words(self.evaluation)}")
        if self.solved:
            lines.append(f"  solved at {self.clock.at(self.solved['env_steps'])}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The result in a notebook, with its learning curve and its newest film."""
        head, *_ = outcome_lines(self)
        rows = [("run folder", str(self.run))]
        if self.evaluation:
            rows.append((self._evaluated(), mean_in_words(self.evaluation)))
        if self.solved:
            rows.append(("solved", f"at {self.clock.at(self.solved['env_steps'])}"))
        rows += [
            (f"not bit-exact from {self.clock.at(mark['env_steps'])} on", mark["reason"])
            for mark in self.not_reproducible
        ]
        return html_block(head, rows, learning_curve(self.run), newest_film(self.run))

    @classmethod
    def from_report(cls, report: Mapping[str, Any], run: Path) -> "TrainingResult":
        """The reverse of `report`, which may come from anyone.

        Args:
            report: the outcome as JSON data.
            run: the run folder.

        Raises:
            RunFolderError: it is no outcome.
        """
        outcome: dict[str, Any] = {name: report.get(name) for name in _TYPES}
        for name, kinds in _TYPES.items():
            if type(outcome[name]) not in kinds:
                raise RunFolderError(
                    f"the report of a run has the {name} {shown_text(outcome[name])}: it is damaged"
                )
        if outcome["clock"] not in tuple(Clock):
            raise RunFolderError(
                f"the report of a run has the clock {shown_text(outcome['clock'])}: it is damaged"
            )
        outcome["clock"] = Clock(outcome["clock"])
        return cls(run=run, **outcome)

    def _evaluated(self) -> str:
        assert self.evaluation is not None
        return f"evaluation of {counted(self.evaluation['episodes'], 'episode')}"

    def report(self) -> dict[str, Any]:
        """The outcome as JSON data."""
        return {
            "run": str(self.run),
            "env_steps": self.env_steps,
            "updates": self.updates,
            "seconds": round(self.seconds, 3),
            "startup_seconds": round(self.startup_seconds, 3),
            "solved": self.solved,
            "best": self.best,
            "evaluation": self.evaluation,
            "not_reproducible": self.not_reproducible,
            "environment_restarts": self.environment_restarts,
            "stopped": self.stopped,
            "stop_reason": self.stop_reason,
            "estimate": self.estimate,
            "clock": self.clock.value,
        }


_TYPES: dict[str, tuple[type, ...]] = {
    "env_steps": (int,),
    "updates": (int,),
    "seconds": (float, int),
    "startup_seconds": (float, int),
    "solved": (dict, type(None)),
    "best": (dict, type(None)),
    "evaluation": (dict, type(None)),
    "not_reproducible": (list,),
    "environment_restarts": (list,),
    "stopped": (bool,),
    "stop_reason": (str, type(None)),
    "estimate": (dict, type(None)),
    "clock": (str,),
}
"""What a report holds, besides the path of its run."""
