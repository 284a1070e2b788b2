"""Racing over seeds: a trial ends once its seeds show that it is worse than the best one."""

from collections.abc import Iterable, Sequence

from frankrl.jobs.optuna_in_memory import memory_study, quiet_optuna
from frankrl.sweeps.objectives import Objective
from frankrl.sweeps.trial import Trial

P_VALUE = 0.1
"""Probability, by Wilcoxon's signed-rank test over the seeds, below which a trial ends."""
FEWEST_SEEDS = 4
"""All of four seeds must be worse for a p-value below that: 1/16."""


def reason_to_stop(
    objective: Objective, earlier: Iterable[Trial], values: Sequence[float], num_seeds: int
) -> str | None:
    """Why a trial should end after some of its seeds; None if it should go on.

    It is compared, seed by seed, with the best of the earlier trials that had all seeds.

    Args:
        objective: what is compared.
        earlier: the trials to compare with.
        values: the trial's own values so far, in the order of the seeds.
        num_seeds: number of all seeds.
    """
    if not FEWEST_SEEDS <= len(values) < num_seeds:
        return None
    complete = [trial for trial in earlier if trial.state == "complete"]
    if not complete:
        return None
    with quiet_optuna() as optuna:
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=P_VALUE)
        study = memory_study(optuna, objective.direction, pruner=pruner)
        for trial in complete:
            before = study.ask()
            for index, value in enumerate(trial.values):
                before.report(value, index)
            study.tell(before, trial.value)
        asked = study.ask()
        for index, value in enumerate(values):
            asked.report(value, index)
        if not asked.should_prune():
            return None
        best = complete[study.best_trial.number].number
    return (
        f"pruned by racing after {len(values)} of {num_seeds} seeds: worse than trial {best} "
        f"(p < {P_VALUE:g})"
    )
