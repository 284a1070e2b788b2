"""The evaluations of a run: the periodic ones, the solved check, and the final one."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from frankrl.core.random import Use
from frankrl.environments import Worker
from frankrl.experience import make_policy
from frankrl.training.best import BestAgent
from frankrl.training.evaluation import Evaluation, EvaluationStopped, Evaluator
from frankrl.training.events import Evaluated, Solved
from frankrl.training.state import Experiment


class PeriodicEvaluator:
    """Evaluates a run, and records whether it is solved and which agent is the best."""

    def __init__(self, experiment: Experiment, workers: Sequence[Worker]) -> None:
        """Does not play any episode yet.

        Args:
            experiment: the run's experiment.
            workers: processes that step some of the environments.
        """
        self.due = False
        """Whether the evaluation of this env step still has to be played."""
        self.solved: Solved | None = None
        self.best = BestAgent(experiment)
        self.stop_requested: Callable[[], bool] = lambda: False
        """Called after every step; if true, an evaluation is aborted and stays due."""
        self.on_episode: Callable[[int, int], None] = lambda done, of: None
        """Called as episodes end, with their number and the number of episodes to play."""
        self._settings = experiment.settings.evaluation
        self._seed = experiment.seed
        self._threshold = experiment.spec.reward_threshold
        self._evaluator = Evaluator(experiment.spec, workers)
        self._policy = make_policy(experiment.settings.training.acting, experiment.network)
        self._solved_check: Evaluation | None = None

    def evaluate(
        self, env_steps: int, params: Float[np.ndarray, " weight"], seconds: Callable[[], float]
    ) -> Iterator[Evaluated | Solved]:
        """The periodic evaluation; if it reaches the threshold, also the longer solved check.

        Args:
            env_steps: env steps of the run so far.
            params: the parameters to evaluate.
            seconds: returns the seconds since the run began.
        """
        self.due = True
        episodes = self._settings.evaluation_episodes
        found = self._play(params, episodes, Use.EVALUATION_RESET, env_steps)
        if found is None:
            return
        yield Evaluated(env_steps, found, "progress")
        self.best.consider(found, env_steps, params)
        threshold = self._threshold
        if self.solved is None and threshold is not None and found.mean_return >= threshold:
            check = self._play_solved_check(env_steps, params, threshold)
            if check is None:
                return
            yield Evaluated(env_steps, check, "solved")
            if check.mean_return >= threshold:
                self.solved = Solved(env_steps, seconds(), check.mean_return)
                self._solved_check = check
                yield self.solved
        self.due = False

    def final(self, env_steps: int, params: Float[np.ndarray, " weight"]) -> Evaluation | None:
        """The evaluation of the final policy; None if a stop was requested."""
        if self.solved is not None and self.solved.env_steps == env_steps:
            # This policy has passed the solved check; only a resumed run has to repeat it.
            assert self._threshold is not None
            return self._solved_check or self._play_solved_check(env_steps, params, self._threshold)
        episodes = self._settings.final_evaluation_episodes
        return self._play(params, episodes, Use.EVALUATION_RESET, 0)

    def _play_solved_check(
        self, env_steps: int, params: Float[np.ndarray, " weight"], threshold: float
    ) -> Evaluation | None:
        episodes = self._settings.final_evaluation_episodes
        return self._play(params, episodes, Use.SOLVED_RESET, env_steps, threshold)

    def _play(
        self,
        params: Float[np.ndarray, " weight"],
        episodes: int,
        use: Use,
        number: int,
        hopeless_below: float = -math.inf,
    ) -> Evaluation | None:
        self._policy.load(params)
        try:
            return self._evaluator.evaluate(
                self._policy.q_values,
                episodes,
                use,
                self._seed,
                number,
                self.stop_requested,
                hopeless_below,
                self.on_episode,
            )
        except EvaluationStopped:
            return None

    def close(self) -> None:
        """Close the environments."""
        self._evaluator.close()
