"""Greedy episodes on fresh environments: how good is a policy?"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Num

from frankrl.environments import EnvironmentSpec, Seat
from frankrl.randomness import Use, reset_seed

MOST_AT_ONCE = 25
MOST_STEPS = 100_000
"""An episode that its environment does not end is counted as it stands after so many steps."""

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
    # Half of the time that the command line takes to start, if it were imported above.
    import scipy.stats

    result = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=2_000, method="percentile", rng=np.random.default_rng(0)
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


class EvaluationStopped(Exception):  # noqa: N818 - not an error
    """An evaluation was asked to stop before its end."""


class Evaluator:
    """Plays greedy episodes; its environments are its own and are kept between evaluations."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._seats: list[Seat] = []

    def evaluate(
        self,
        q_values: QValues,
        episodes: int,
        use: Use,
        seed: int,
        number: int = 0,
        stop_requested: Callable[[], bool] = lambda: False,
        hopeless_below: float = -math.inf,
    ) -> Evaluation:
        """Play episodes with the action of highest Q-value in every state.

        Args:
            q_values: from a batch of observations to Q-values.
            episodes: how many.
            use: what for; decides the seeds together with the two below.
            seed: the evaluation's seed.
            number: tells apart several evaluations of one use and seed.
            stop_requested: asked after every step; when true the evaluation is given up.
            hopeless_below: if the first 25 episodes have a lower mean return than this,
                the evaluation ends there, with these alone.

        Raises:
            EnvironmentFailedError: an environment raised, or gave something impossible.
            EvaluationStopped: it was asked to stop.

        Returns:
            The evaluation. It depends on nothing but the arguments.
        """
        spec, at_once = self._spec, min(episodes, MOST_AT_ONCE)
        while len(self._seats) < at_once:
            self._seats.append(Seat(spec, len(self._seats)))
        returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        # A product's last bits depend on its number of rows, so that is always the same.
        observations = np.zeros((MOST_AT_ONCE, *spec.observation_shape), spec.observation_dtype)
        playing = list(range(at_once))
        for slot in playing:
            reset = reset_seed(seed, use, number, slot)
            observations[slot] = self._seats[slot].reset(reset, slot)
        begun, undecided = at_once, True
        while any(episode >= 0 for episode in playing):
            if stop_requested():
                raise EvaluationStopped
            if undecided and not any(0 <= episode < at_once for episode in playing):
                undecided = False
                if np.mean(returns[:at_once]) < hopeless_below:
                    return Evaluation(returns[:at_once], lengths[:at_once])
            actions = np.argmax(q_values(observations), axis=1).tolist()
            for slot, episode in enumerate(playing):
                if episode < 0:
                    continue
                state, reward, terminated, truncated = self._seats[slot].step(actions[slot])
                returns[episode] += reward
                lengths[episode] += 1
                if terminated or truncated or lengths[episode] >= MOST_STEPS:
                    playing[slot] = -1
                    if begun < episodes:
                        playing[slot] = begun
                        reset = reset_seed(seed, use, number, begun)
                        state = self._seats[slot].reset(reset, begun)
                        begun += 1
                observations[slot] = state
        return Evaluation(returns, lengths)

    def close(self) -> None:
        """Close the environments."""
        for seat in self._seats:
            seat.close()
        self._seats = []
