"""Evaluation of a policy: greedy episodes in environments of their own."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.core.random import Use, reset_seed
from frankrl.core.types import Observation
from frankrl.environments import EnvGroup, EnvironmentSpec, Worker

_RESAMPLES = 2_000
_MAX_DRAWN = 1_000_000
"""Values that are drawn together for resamples, so that they fit into memory."""
MAX_AT_ONCE = 25
MAX_STEPS = 100_000
"""An episode that its environment does not end is ended after so many steps."""

QValues = Callable[[Observation, Bool[np.ndarray, "batch action"] | None], np.ndarray]
"""Maps a batch of observations and action masks to Q-values."""


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of greedy episodes, in the order of their seeds."""

    returns: Float[np.ndarray, " episode"]
    lengths: Int[np.ndarray, " episode"]

    @property
    def mean_return(self) -> float:
        """Mean return over the episodes."""
        return float(np.mean(self.returns))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean return."""
        return float(np.std(self.returns - self.returns[0]) / math.sqrt(len(self.returns)))

    def summary(self) -> dict:
        """Statistics of the returns, with a 95 % interval of the mean, and each episode."""
        low, high = interval_of_mean(self.returns)
        return {
            "episodes": len(self.returns),
            "mean_return": self.mean_return,
            # Differences, so that equal returns have no spread from rounding.
            "std_return": float(np.std(self.returns - self.returns[0])),
            "interval_95": [low, high],
            "min_return": float(np.min(self.returns)),
            "median_return": float(np.median(self.returns)),
            "max_return": float(np.max(self.returns)),
            "mean_length": float(np.mean(self.lengths)),
            "returns": [float(value) for value in self.returns],
            "lengths": [int(value) for value in self.lengths],
        }


def spread_of(summary: Mapping[str, Any]) -> float:
    """How far a mean return is from certain: half the width of its 95 % interval.

    Args:
        summary: as `Evaluation.summary` gives it, and as it stands in a run's report.
    """
    low, high = summary["interval_95"]
    return (high - low) / 2


def interval_of_mean(values: Float[np.ndarray, " value"]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean (percentile method, 2,000 resamples, fixed seed).

    SciPy's `bootstrap` gives the same numbers. Importing it would take half a second at the end of
    every run.
    """
    count = len(values)
    if count < 2 or np.all(values == values[0]):
        return float(np.mean(values)), float(np.mean(values))
    random = np.random.default_rng(0)
    together = max(1, _MAX_DRAWN // count)
    means = [
        values[random.integers(0, count, (min(together, _RESAMPLES - first), count))].mean(axis=1)
        for first in range(0, _RESAMPLES, together)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


class EvaluationStopped(Exception):  # noqa: N818 - not an error
    """An evaluation was stopped before its end."""


class Evaluator:
    """Plays greedy episodes in environments of its own, which it keeps between evaluations."""

    def __init__(self, spec: EnvironmentSpec, workers: Sequence[Worker] = ()) -> None:
        """Does not make any environment yet.

        Args:
            spec: the environment.
            workers: processes that step some of the environments.
        """
        self._spec = spec
        self._workers = workers
        self._envs: EnvGroup | None = None
        self._made = 0

    def evaluate(
        self,
        q_values: QValues,
        episodes: int,
        use: Use,
        seed: int,
        number: int = 0,
        stop_requested: Callable[[], bool] = lambda: False,
        hopeless_below: float = -math.inf,
        on_episode: Callable[[int, int], None] = lambda done, of: None,
    ) -> Evaluation:
        """Play episodes with the action of highest Q-value in every state.

        Args:
            q_values: maps a batch of observations and action masks to Q-values.
            episodes: number of episodes.
            use: purpose of the evaluation; decides its seeds, together with the next two.
            seed: seed of the evaluation.
            number: distinguishes evaluations with the same use and seed.
            stop_requested: called after every step; if true, the evaluation is aborted.
            hopeless_below: if the mean return of the first 25 episodes is below this, the
                evaluation ends with these episodes.
            on_episode: called at the beginning and whenever episodes have ended, with the episodes
                that have ended and the episodes to play.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
            EvaluationStopped: a stop was requested.

        Returns:
            The evaluation. It depends only on the arguments.
        """
        spec, at_once = self._spec, min(episodes, MAX_AT_ONCE)
        envs = self._at_least(at_once)
        returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        # The last bits of a matrix product depend on its number of rows, so the number is fixed.
        rows = np.zeros((MAX_AT_ONCE, *spec.row_shape), spec.row_dtype)
        observations, masks = spec.observation(rows), spec.action_mask(rows)
        playing: dict[int, int] = {}
        """Number of the episode that each environment in use is playing."""

        def begin(env_indices: list[int], numbers: list[int]) -> None:
            seeds = [reset_seed(seed, use, number, episode) for episode in numbers]
            for env_index, state in zip(
                env_indices, envs.reset(env_indices, seeds, numbers), strict=True
            ):
                rows[env_index] = state
            playing.update(zip(env_indices, numbers, strict=True))

        on_episode(0, episodes)
        begin(list(range(at_once)), list(range(at_once)))
        num_started, undecided = at_once, at_once
        while playing:
            if stop_requested():
                raise EvaluationStopped
            actions = np.argmax(q_values(observations, masks), axis=1)
            env_indices, free = list(playing), []
            for env_index, step in zip(
                env_indices, envs.step(env_indices, actions[env_indices].tolist()), strict=True
            ):
                rows[env_index], reward, terminated, truncated = step
                episode = playing[env_index]
                returns[episode] += reward
                lengths[episode] += 1
                if terminated or truncated or lengths[episode] >= MAX_STEPS:
                    del playing[env_index]
                    free.append(env_index)
                    undecided -= episode < at_once
            if free and undecided == 0:
                if np.mean(returns[:at_once]) < hopeless_below:
                    return Evaluation(returns[:at_once], lengths[:at_once])
                undecided = -1
            following = list(range(num_started, min(num_started + len(free), episodes)))
            if following:
                begin(free[: len(following)], following)
                num_started += len(following)
            if free:
                on_episode(num_started - len(playing), episodes)
        return Evaluation(returns, lengths)

    def _at_least(self, count: int) -> EnvGroup:
        """At least `count` environments."""
        if self._envs is None or self._made < count:
            self.close()
            # A few episodes end before a worker has started.
            workers = self._workers if count == MAX_AT_ONCE else ()
            self._envs, self._made = EnvGroup(self._spec, count, workers), count
        return self._envs

    def close(self) -> None:
        """Close the environments."""
        if self._envs is not None:
            self._envs.close()
        self._envs = None
