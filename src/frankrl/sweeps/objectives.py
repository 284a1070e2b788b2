"""What a sweep improves: one number of a finished run."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from frankrl.config import Settings
from frankrl.core.errors import SettingError, nearest
from frankrl.environments import EnvironmentSpec
from frankrl.jobs import Outcome

_UNSOLVED_FACTOR = 2
"""A run that is not solved counts as this many times what it took."""


class Objective(NamedTuple):
    """A number of a run, and whether more of it is better."""

    name: str
    direction: Literal["maximize", "minimize"]
    unit: str
    value_of: Callable[[Outcome, Settings], float | None]
    """The number of a run with these settings, also of one that was stopped on the way; None if
    the run does not have it."""
    needs_threshold: bool = False
    """Whether the environment must have a reward threshold."""

    @property
    def is_repeatable(self) -> bool:
        """Whether the same run has the same value again, whatever else its machine does."""
        return self.unit != "seconds"

    def is_better(self, value: float, other: float) -> bool:
        """Whether one value is better than another."""
        return value > other if self.direction == "maximize" else value < other


def _final_return(outcome: Outcome, settings: Settings) -> float | None:
    """Mean return of the final evaluation; of a run that was stopped, of its last one."""
    if outcome.stop_reason is not None:
        return outcome.evaluations[-1][1] if outcome.evaluations else None
    return outcome.final_return


def _mean_return(outcome: Outcome, settings: Settings) -> float | None:
    """Mean of all evaluations during training."""
    returns = [mean for _, mean in outcome.evaluations]
    return sum(returns) / len(returns) if returns else None


def _env_steps_to_solved(outcome: Outcome, settings: Settings) -> float | None:
    """Env steps until the run was solved; without that, twice its budget."""
    if outcome.solved_env_steps is not None:
        return float(outcome.solved_env_steps)
    return float(_UNSOLVED_FACTOR * settings.budget)


def _seconds_to_solved(outcome: Outcome, settings: Settings) -> float | None:
    """Seconds until the run was solved; without that, twice the seconds that its budget takes."""
    if outcome.solved_seconds is not None:
        return float(outcome.solved_seconds)
    share = outcome.env_steps / settings.budget
    if outcome.seconds is None or not share:
        return None
    return _UNSOLVED_FACTOR * outcome.seconds / share


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("final_return", "maximize", "return", _final_return),
        Objective("mean_return", "maximize", "return", _mean_return),
        Objective("env_steps_to_solved", "minimize", "env steps", _env_steps_to_solved, True),
        Objective("seconds_to_solved", "minimize", "seconds", _seconds_to_solved, True),
    )
}


def objective_named(name: str) -> Objective:
    """The objective of a name.

    Raises:
        SettingError: there is none.
    """
    if name not in OBJECTIVES:
        raise SettingError(
            f"there is no objective {name!r}{nearest(str(name), OBJECTIVES)} "
            f"(objectives: {', '.join(OBJECTIVES)})"
        )
    return OBJECTIVES[name]


def check_objective(objective: Objective, spec: EnvironmentSpec, settings: Settings) -> None:
    """Refuse an objective that no run of these settings has.

    Args:
        objective: the objective.
        spec: the environment.
        settings: the settings of every trial, before its own.

    Raises:
        SettingError: the environment or the settings do not allow it.
    """
    evaluation = settings.evaluation
    if objective.needs_threshold and spec.reward_threshold is None:
        raise SettingError(
            f"{spec.env_id} names no reward threshold, so no run of it is ever solved and "
            f"{objective.name} has no value: use the objective final_return or mean_return"
        )
    if objective.name != "mean_return" and evaluation.final_evaluation_episodes is None:
        raise SettingError(
            f"{objective.name} needs the evaluation at the end and the solved check: give "
            "final_evaluation_episodes a number, or use the objective mean_return"
        )
    if objective.name != "final_return" and settings.evaluate_every is None:
        raise SettingError(
            f"{objective.name} needs evaluations during training: give evaluate_every_env_steps "
            "a number, or use the objective final_return"
        )
