"""The result of a run in numbers: its evaluation, and the file `results.json`."""

import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

from frankrl.config import Clock
from frankrl.runs import RunDescription
from frankrl.runs.report import Report

_SUMMARY = (
    "episodes",
    "mean_return",
    "std_return",
    "interval_95",
    "min_return",
    "median_return",
    "max_return",
    "mean_length",
)
"""What a card needs of an evaluation's summary."""


class Result(NamedTuple):
    """An evaluation of the agent that is pushed, and what the run says of itself."""

    summary: dict[str, Any]
    """As `Evaluation.summary` gives it."""
    seed: int
    """Decides the reset seeds of its episodes."""
    played: str
    """When its episodes were played: `at the end of the training` or `for the Hub`."""
    when: datetime
    agent: str
    """`newest` or `best`."""
    env_steps: int
    """Where the clock of the run stood when it had this agent."""
    newest: dict[str, Any]
    """The metadata of the newest checkpoint."""
    clock: Clock
    """What `env_steps` counts."""

    @property
    def mean_reward(self) -> str:
        """The mean return and its standard deviation, as leaderboards read them."""
        return f"{self.summary['mean_return']:.2f} +/- {self.summary['std_return']:.2f}"


def final_evaluation(report: Report | None, env_steps: int) -> dict[str, Any] | None:
    """The final evaluation in a report; None if there is none of the agent at these env steps."""
    if report is None or report.env_steps != env_steps:
        return None
    found = report.plain.get("evaluation")
    if not isinstance(found, dict) or not all(_is_real(found.get(name)) for name in _SUMMARY):
        return None
    return found


def _is_real(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == 2 and all(map(_is_real, value))
    return type(value) in (int, float) and math.isfinite(value)


def results_of(description: RunDescription, result: Result) -> dict[str, Any]:
    """The content of `results.json`.

    `mean_reward`, `std_reward`, `n_eval_episodes`, `is_deterministic` and `eval_datetime` are the
    names that Stable-Baselines3 uses there.
    """
    summary, newest = result.summary, result.newest
    return {
        "env_id": description.env_id,
        "mean_reward": summary["mean_return"],
        "std_reward": summary["std_return"],
        "n_eval_episodes": summary["episodes"],
        "is_deterministic": True,
        "eval_datetime": result.when.astimezone(UTC).isoformat(timespec="seconds"),
        "evaluation": summary,
        "evaluation_seed": result.seed,
        "evaluation_played": result.played,
        "agent": result.agent,
        "env_steps": result.env_steps,
        "preset": description.preset,
        "seed": description.seed,
        "training": {
            name: newest.get(name)
            for name in ("env_steps", "updates", "episodes", "solved", "best", "not_reproducible")
        },
        "versions": description.versions,
        "machine": description.machine,
    }


def settings_of(description: RunDescription) -> dict[str, Any]:
    """The content of `config.json`."""
    return {
        "library": "frankrl",
        "algorithm": "DQN",
        "env_id": description.env_id,
        "preset": description.preset,
        "seed": description.seed,
        "settings": description.settings.to_tables(),
    }
