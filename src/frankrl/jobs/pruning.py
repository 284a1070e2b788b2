"""Whether a run that is worse than others should end before its end: a rule as plain data.

The rule holds the evaluations of earlier runs of the same seed, so the decision is a pure function
of the rule and the run's own evaluations: it does not depend on what else runs meanwhile, and a
run that was killed comes to the same decision again.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from frankrl.core.errors import SettingError
from frankrl.jobs.optuna_in_memory import memory_study, quiet_optuna
from frankrl.runs.report import PRUNED

PRUNERS = ("median", "hyperband")
"""Optuna's pruners that decide within a run."""
_STATES = ("complete", "pruned", "failed")
MAX_EARLIER_EVALUATIONS = 500_000
"""Evaluations of all earlier runs that a rule may hold. As JSON they take 13 MB at most."""
_MAX_TRIALS = 100_000


class EarlierRun(NamedTuple):
    """A run of an earlier trial."""

    state: Literal["complete", "pruned", "failed"]
    """How its trial ended."""
    mean_returns: tuple[float, ...]
    """Its evaluations, in order."""


class PruningRule(NamedTuple):
    """By what a run is compared, and with which ones."""

    pruner: Literal["median", "hyperband"]
    number: int
    """Number of the run's trial, from 0."""
    num_evaluations: int
    """Evaluations of a whole run. The last one ends nothing."""
    earlier: tuple[EarlierRun, ...]
    """The runs of the trials 0, 1 …"""

    @classmethod
    def from_plain(cls, plain: Any) -> "PruningRule":
        """The rule in JSON data.

        Raises:
            SettingError: it is none.
        """
        refused = SettingError("pruning must be a rule that a sweep has made")
        try:
            pruner, number, num_evaluations, runs = plain
            earlier = tuple(EarlierRun(state, tuple(map(float, means))) for state, means in runs)
            rule = cls(pruner, int(number), int(num_evaluations), earlier)
        except (TypeError, ValueError, OverflowError):
            raise refused from None
        is_right = (
            rule.pruner in PRUNERS
            and len(earlier) <= rule.number <= _MAX_TRIALS
            and rule.num_evaluations >= 1
            and all(run.state in _STATES for run in earlier)
            and all(math.isfinite(mean) for run in earlier for mean in run.mean_returns)
        )
        if not is_right:
            raise refused
        return rule


def reason_to_stop(rule: PruningRule, mean_returns: Sequence[float]) -> str | None:
    """Why a run should end after its evaluations so far; None if it should go on.

    Args:
        rule: the rule.
        mean_returns: the run's evaluations so far, in order.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    if not mean_returns or len(mean_returns) >= rule.num_evaluations:
        return None
    with quiet_optuna() as optuna:
        is_hyperband = rule.pruner == "hyperband"
        if is_hyperband:
            pruner = optuna.pruners.HyperbandPruner(
                min_resource=1, max_resource=rule.num_evaluations, reduction_factor=3
            )
        else:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
        study = memory_study(optuna, "maximize", pruner=pruner)
        # The trials are added in the order of their numbers, as Hyperband's brackets follow them.
        for run in rule.earlier:
            _add(optuna, study, run, asks=is_hyperband)
        for _ in range(len(rule.earlier), rule.number):
            study.ask()
        stops = _reported(study.ask(), mean_returns, asks=is_hyperband)
    if not stops:
        return None
    return (
        f"{PRUNED}{rule.pruner} at evaluation {len(mean_returns)} of {rule.num_evaluations}: "
        f"mean return {mean_returns[-1]:g}"
    )


def _add(optuna: Any, study: Any, run: EarlierRun, *, asks: bool) -> None:
    """Add an earlier run to a study."""
    trial = study.ask()
    if run.mean_returns:
        # The last evaluation ends nothing, so it is compared with nothing.
        _reported(trial, run.mean_returns, asks=asks)
    if run.state == "complete" and run.mean_returns:
        study.tell(trial, run.mean_returns[-1])
    elif run.state == "pruned" and run.mean_returns:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _reported(trial: Any, mean_returns: Sequence[float], *, asks: bool) -> bool:
    """Report a run's evaluations; whether the pruner stops it after the last one.

    Args:
        trial: the run's trial.
        mean_returns: its evaluations.
        asks: whether to ask after each one, because Hyperband keeps notes when it is asked.
    """
    stops = False
    for step, mean in enumerate(mean_returns, 1):
        trial.report(mean, step)
        if asks or step == len(mean_returns):
            stops = trial.should_prune()
    return stops
