"""Greedy episodes on fresh environments: how good is a policy?"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.stats
from jaxtyping import Float, Int, Num

from frankrl.environments import EnvironmentSpec, make_environment
from frankrl.errors import EnvironmentFailedError
from frankrl.randomness import Use, reset_seed

MOST_AT_ONCE = 25

QValues = Callable[[Num[np.ndarray, "batch *obs"]], Float[np.ndarray, "batch action"]]


@dataclass(frozen=True)
class Evaluation:
    """Returns and lengths of greedy episodes, in the order of their seeds."""

    returns: Float[np.ndarray, " episode"]
    lengths: Int[np.ndarray, " episode"]

    @property
    def mean_return(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    def summary(self) -> dict:
        """The usual figures: mean, spread, 95 % interval of the mean, and each episode."""
        low, high = interval_of_mean(self.returns)
        return {
            "episodes": len(self.returns),
            "mean_return": self.mean_return,
            "std_return": float(np.std(self.returns)),
            "interval_95": [low, high],
            "min_return": float(np.min(self.returns)),
            "median_return": float(np.median(self.returns)),
            "max_return": float(np.max(self.returns)),
            "mean_length": float(np.mean(self.lengths)),
            "returns": [float(value) for value in self.returns],
            "lengths": [int(value) for value in self.lengths],
        }


def interval_of_mean(values: Float[np.ndarray, " value"]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean (percentile method, 2,000 resamples, fixed seed)."""
    if len(values) < 2 or np.all(values == values[0]):
        return float(np.mean(values)), float(np.mean(values))
    result = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=2_000, method="percentile", rng=np.random.default_rng(0)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


class Evaluator:
    """Plays greedy episodes; its environments are its own and are kept between evaluations."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._envs: list = []

    def evaluate(self, q_values: QValues, episodes: int, use: Use, seed: int, number: int = 0):
        """Play episodes with the action of highest Q-value in every state.

        Args:
            q_values: from a batch of observations to Q-values.
            episodes: how many.
            use: what for; decides the seeds together with the two below.
            seed: the evaluation's seed.
            number: tells apart several evaluations of one use and seed.

        Returns:
            The evaluation. It depends on nothing but the arguments.
        """
        spec, at_once = self._spec, min(episodes, MOST_AT_ONCE)
        while len(self._envs) < at_once:
            self._envs.append(make_environment(spec.env_id, spec.env_kwargs))
        returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        observations = np.zeros((at_once, *spec.observation_shape), spec.observation_dtype)
        playing = list(range(at_once))
        for slot in playing:
            observations[slot] = self._begin(slot, reset_seed(seed, use, number, slot))
        begun = at_once
        while any(episode >= 0 for episode in playing):
            actions = np.argmax(q_values(observations), axis=1)
            for slot, episode in enumerate(playing):
                if episode < 0:
                    continue
                action = int(actions[slot]) + spec.first_action
                state, reward, terminated, truncated, _ = self._envs[slot].step(action)
                returns[episode] += float(reward)
                lengths[episode] += 1
                observations[slot] = spec.encode(state)
                if terminated or truncated:
                    playing[slot] = -1
                    if begun < episodes:
                        playing[slot] = begun
                        reset = reset_seed(seed, use, number, begun)
                        observations[slot] = self._begin(slot, reset)
                        begun += 1
        if not np.all(np.isfinite(returns)):
            raise EnvironmentFailedError(f"{spec.env_id} gave a reward that is not finite")
        return Evaluation(returns, lengths)

    def _begin(self, slot: int, seed: int) -> np.ndarray:
        observation, _ = self._envs[slot].reset(seed=seed)
        return self._spec.encode(observation)

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            with contextlib.suppress(Exception):
                env.close()
        self._envs = []
