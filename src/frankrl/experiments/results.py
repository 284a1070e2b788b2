"""Results of a study: scores with their spread over seeds."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.errors import RunFolderError
from frankrl.core.score import Score, score
from frankrl.experiments.study import Study, paths_of
from frankrl.jobs import outcome_of


class ArmResult(NamedTuple):
    """The results of one arm on one environment."""

    env_id: str
    arm: str
    final_returns: Float[np.ndarray, " seed"]
    """Mean return of each seed's final policy."""
    env_steps: Float[np.ndarray, " evaluation"]
    evaluations: Float[np.ndarray, "seed evaluation"]
    """Mean returns of the greedy evaluations during training."""

    @property
    def final(self) -> Score:
        """Score of the final policies."""
        return score(self.final_returns)

    @property
    def learning(self) -> Score:
        """How good the policies were over the whole training: the mean of all evaluations."""
        return score(self.evaluations.mean(axis=1))


def results_of(study: Study) -> list[ArmResult]:
    """The results of a study, arm by arm.

    Raises:
        RunFolderError: a run is missing or not finished.
    """
    results = []
    for env_id in study.env_ids:
        for arm in study.experiment.arms:
            finals, evaluations, env_steps = [], [], np.zeros(0)
            for path in paths_of(study, env_id, arm):
                outcome = outcome_of(path)
                if outcome is None or outcome.final_return is None:
                    raise RunFolderError(f"the run {path} is not finished")
                finals.append(outcome.final_return)
                env_steps = np.array([step for step, _ in outcome.evaluations], np.float64)
                evaluations.append(np.array([mean for _, mean in outcome.evaluations]))
            results.append(
                ArmResult(env_id, arm.name, np.array(finals), env_steps, np.stack(evaluations))
            )
    return results
