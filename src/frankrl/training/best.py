"""The best agent of a run so far, by its evaluation during training."""

import numpy as np
from jaxtyping import Float

from frankrl.environments import spec_to_data
from frankrl.experience import Statistics, statistics_tensors
from frankrl.runs import (
    RunFolder,
    Tensors,
    list_checkpoints,
    remove_checkpoint,
    save_checkpoint,
    tidy_checkpoints,
)
from frankrl.training.codec import BEST_FILE, eval_file, statistics_in
from frankrl.training.evaluation import Evaluation
from frankrl.training.events import Best
from frankrl.training.records import filled, named
from frankrl.training.state import Experiment


class BestAgent:
    """The parameters with the best evaluation so far, and their folder."""

    def __init__(self, experiment: Experiment) -> None:
        self.best: Best | None = None
        """None before the first evaluation."""
        self._environment = {
            "env_id": experiment.spec.env_id,
            "environment": spec_to_data(experiment.spec),
        }
        self._file = eval_file(experiment.settings.learning)
        self._network = experiment.network
        self._params: np.ndarray | None = None
        self._statistics: Statistics | None = None
        self._experiment = experiment
        self._written = True
        self._stays_until = 0

    def consider(
        self,
        evaluation: Evaluation,
        ticks: int,
        params: Float[np.ndarray, " weight"],
        statistics: Statistics | None = None,
    ) -> None:
        """Keep the evaluated parameters if their mean return is the highest so far, and the
        running statistics by which their observations were normalised."""
        if self.best is None or evaluation.mean_return > self.best.mean_return:
            self.best = Best(ticks, evaluation.mean_return, len(evaluation.returns))
            self._params, self._statistics = np.array(params), statistics
            self._written = False

    def restore(self, best: Best | None, tensors: Tensors | None, folder: RunFolder) -> None:
        """Restore the best agent of a checkpoint; `save` then writes it to the folder.

        A later best agent in the folder stays until the run's clock is there again.

        Raises:
            RunFolderError: the checkpoint lacks the weights of its best agent, or has statistics
                of it that no run has.
        """
        self.best, self._written = best, False
        self._stays_until = max((int(c.name) for c in list_checkpoints(folder.best)), default=0)
        if best is not None:
            found = filled(self._network.shapes, tensors or {})
            self._params = self._network.layout.flatten(found)
            self._statistics = statistics_in(tensors or {}, self._experiment, folder.path)

    def for_checkpoint(self) -> dict[str, Tensors]:
        """The best agent's file in a checkpoint of the run; empty before the first evaluation."""
        return self._tensors(BEST_FILE)

    def save(self, folder: RunFolder, ticks: float) -> None:
        """Write the best agent to its folder, if it is not there yet.

        Args:
            folder: the run's folder.
            ticks: of the run's clock so far; infinite at its end.

        Raises:
            OSError, RunFolderError: it cannot be written.
        """
        if self._written or ticks < self._stays_until:
            return
        tidy_checkpoints(folder.best)
        newest = -1
        if self.best is not None:
            info = {**self._environment, **self.best._asdict()}
            newest = self.best.env_steps
            save_checkpoint(folder.best, newest, self._tensors(self._file), info)
        for other in list_checkpoints(folder.best):
            if int(other.name) != newest:
                remove_checkpoint(other)
        self._written = True

    def _tensors(self, file: str) -> dict[str, Tensors]:
        if self._params is None:
            return {}
        weights = named(self._network.layout.unflatten(self._params))
        return {file: weights | statistics_tensors(self._statistics)}
