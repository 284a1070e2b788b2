"""The evaluations of a run: the periodic ones, the solved check, and the final one."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from frankrl.core.random import Use
from frankrl.experience import NormalisedQValues, Statistics, make_policy
from frankrl.runs import RunFolder, Tensors
from frankrl.training.best import BestAgent
from frankrl.training.checkpoint_metadata import CheckpointMetadata
from frankrl.training.evaluation import Evaluation
from frankrl.training.evaluator import EvaluationStopped, Evaluator
from frankrl.training.events import Evaluated, Solved
from frankrl.training.players import PlayerWeights
from frankrl.training.state import Experiment


class PeriodicEvaluator:
    """Evaluates a run, and records whether it is solved and which agent is the best."""

    def __init__(
        self,
        experiment: Experiment,
        evaluator: Evaluator,
        statistics: Callable[[], tuple[Statistics | None, Any]],
    ) -> None:
        """Does not play any episode yet.

        Args:
            experiment: the run's experiment.
            evaluator: plays the episodes.
            statistics: returns the running statistics, which an evaluation leaves as they are; as
                `HostSource.statistics`.
        """
        self._statistics = statistics
        self._made = experiment.settings.environment
        self.due = False
        """Whether the evaluation of this moment still has to be played."""
        self.solved: Solved | None = None
        self.best = BestAgent(experiment)
        self.stop_requested: Callable[[], bool] = lambda: False
        """Called after every step; if true, an evaluation is aborted and stays due."""
        self.on_episode: Callable[[int, int], None] = lambda done, of: None
        """Called as episodes end, with their number and the number of episodes to play."""
        self._settings = experiment.settings.evaluation
        self._is_periodic = experiment.settings.evaluate_every is not None
        self._seed = experiment.seed
        self._threshold = experiment.spec.reward_threshold
        self._evaluator = evaluator
        self._policy = make_policy(experiment.settings.training.acting, experiment.network)
        self._solved_check: Evaluation | None = None

    def stand_at(
        self, metadata: CheckpointMetadata, best: Tensors | None, folder: RunFolder
    ) -> None:
        """Go on from a checkpoint.

        Args:
            metadata: the checkpoint's.
            best: its weights of the agent with the best evaluation.
            folder: the run's folder.

        Raises:
            RunFolderError: as of `BestAgent.restore`.
        """
        self.best.restore(metadata.best, best, folder)
        self.solved, self.due = metadata.solved, metadata.evaluation_due

    def prepare(self) -> None:
        """Try, before training, whether evaluations can have their environments.

        Raises:
            EnvironmentUnusableError: they cannot; the message names the settings that help.
        """
        settings = self._settings
        if self._is_periodic or settings.final_evaluation_episodes:
            self._evaluator.prepare(self._q_values())

    def evaluate(
        self, ticks: int, params: Float[np.ndarray, " weight"], seconds: Callable[[], float]
    ) -> Iterator[Evaluated | Solved]:
        """The periodic evaluation; if it reaches the threshold, also the longer solved check.

        Args:
            ticks: of the run's clock so far.
            params: the parameters to evaluate.
            seconds: returns the seconds since the run began.
        """
        self.due = True
        episodes = self._settings.evaluation_episodes
        found = self._play(params, episodes, Use.EVALUATION_RESET, ticks)
        if found is None:
            return
        yield Evaluated(ticks, found, "progress")
        self.best.consider(found, ticks, params, self._statistics()[0])
        threshold, checked = self._threshold, self._settings.final_evaluation_episodes
        if (
            self.solved is None
            and threshold is not None
            and checked is not None
            and found.mean_return >= threshold
        ):
            check = self._play(params, checked, Use.SOLVED_RESET, ticks, threshold)
            if check is None:
                return
            yield Evaluated(ticks, check, "solved")
            if check.mean_return >= threshold:
                self.solved = Solved(ticks, seconds(), check.mean_return)
                self._solved_check = check
                yield self.solved
        self.due = False

    def final(self, ticks: int, params: Float[np.ndarray, " weight"]) -> Evaluation | None:
        """The evaluation of the final policy; None if there is none, or a stop was requested."""
        episodes = self._settings.final_evaluation_episodes
        if episodes is None:
            return None
        if self.solved is None or self.solved.env_steps != ticks:
            return self._play(params, episodes, Use.EVALUATION_RESET, 0)
        # This policy has passed the solved check; only a resumed run has to repeat it.
        if self._solved_check is None:
            assert self._threshold is not None
            seeds = Use.SOLVED_RESET, ticks
            self._solved_check = self._play(params, episodes, *seeds, self._threshold)
        return self._solved_check

    def _play(
        self,
        params: Float[np.ndarray, " weight"],
        episodes: int,
        use: Use,
        number: int,
        hopeless_below: float = -math.inf,
    ) -> Evaluation | None:
        self._policy.load(params)
        q_values = self._q_values()
        try:
            return self._evaluator.evaluate(
                q_values,
                episodes,
                use,
                self._seed,
                number,
                self.stop_requested,
                hopeless_below,
                self.on_episode,
                PlayerWeights(params, q_values.scales),
            )
        except EvaluationStopped:
            return None

    def _q_values(self) -> NormalisedQValues:
        """Those of the policy, with the newest statistics of observations."""
        statistics, _ = self._statistics()
        return NormalisedQValues(self._policy, statistics and statistics.scales(self._made))
