"""Evaluation of a policy: greedy episodes, usually in environments of their own."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings
from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError
from frankrl.core.figures import counted, figure
from frankrl.core.random import RESET_SEEDS, Use, reset_seed
from frankrl.core.types import Observation
from frankrl.environments import EnvGroup, EnvironmentSpec, FrameStack, Worker
from frankrl.inline.block import html_block
from frankrl.training.in_words import mean_in_words, spread_of

_ORDER = ("min", "median", "max")
_RESAMPLES = 2_000
_MAX_DRAWN = 1_000_000
"""Values that are drawn together for resamples, so that they fit into memory."""

QValues = Callable[[Observation, Bool[np.ndarray, "batch action"] | None], np.ndarray]
"""Maps a batch of observations and action masks to Q-values."""
_ONLY_ONE = (
    "Evaluations have environments of their own beside those of training. If only one can exist, "
    "set evaluation_on to training, or evaluate_every_env_steps and final_evaluation_episodes to "
    "none; evaluation_envs sets how many are made"
)


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"{self._title()}: {mean_in_words(self.summary())}"

    def _repr_html_(self) -> str:
        """The evaluation in a notebook."""
        summary = self.summary()
        shown = functools.partial(figure, spread=spread_of(summary))
        rows = [
            ("mean return", mean_in_words(summary).removeprefix("mean return ")),
            ("worst, median, best", ", ".join(shown(summary[f"{n}_return"]) for n in _ORDER)),
            ("mean length", f"{figure(summary['mean_length'])} steps"),
        ]
        return html_block(self._title(), rows)

    def _title(self) -> str:
        return f"Evaluation of {counted(len(self.returns), 'greedy episode')}"

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
    """Plays greedy episodes."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        workers: Sequence[Worker] = (),
        settings: EvaluationSettings | None = None,
        *,
        lend: Callable[[], AbstractContextManager[EnvGroup]] | None = None,
        keep_envs: bool = True,
    ) -> None:
        """Does not make any environment yet.

        Args:
            spec: the environment.
            workers: processes that step some of the environments.
            settings: how many environments are made, and when an episode is cut off; None: the
                defaults.
            lend: lends the environment to play in; None: the evaluator makes its own.
            keep_envs: whether its environments stay open between evaluations. Where they have a
                hidden state, new ones are needed for each, so that equal policies score equally.
        """
        self._spec = spec
        self._workers = workers
        self._settings = settings or EvaluationSettings()
        self._lend = lend
        self._keep_envs = keep_envs
        self._envs: EnvGroup | None = None
        self._made = 0

    def prepare(self) -> None:
        """Try whether an environment can be made and reset beside those of training.

        Raises:
            EnvironmentUnusableError: it cannot; the message names the settings that help.
        """
        if self._lend is None:
            try:
                self._at_least(1).reset([0], [RESET_SEEDS[Use.EVALUATION_RESET].start], [0])
            except EnvironmentFailedError as error:
                raise EnvironmentUnusableError(f"{error}. {_ONLY_ONE}") from error

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
            EnvironmentUnusableError: an environment cannot be made.
            EvaluationStopped: a stop was requested.

        Returns:
            The evaluation. It depends only on the arguments.
        """

        def seed_of(episode: int) -> int:
            return reset_seed(seed, use, number, episode)

        first, is_decided = min(episodes, MAX_EVALUATION_ENVS), False
        at_once = 1 if self._lend else min(episodes, self._settings.evaluation_envs)
        with self._open(at_once) as envs:
            on_episode(0, episodes)
            most_steps = self._settings.evaluation_max_episode_steps
            play = _Play(self._spec, envs, episodes, seed_of, most_steps)
            play.begin(range(at_once))
            while play.is_running:
                if stop_requested():
                    raise EvaluationStopped
                free = play.step(q_values)
                if free and not is_decided and play.has_ended[:first].all():
                    is_decided = True
                    if np.mean(play.returns[:first]) < hopeless_below:
                        return Evaluation(play.returns[:first], play.lengths[:first])
                play.begin(free)
                if free:
                    on_episode(int(play.has_ended.sum()), episodes)
        return Evaluation(play.returns, play.lengths)

    @contextlib.contextmanager
    def _open(self, count: int) -> Iterator[EnvGroup]:
        """At least `count` environments, for one evaluation."""
        if self._lend is not None:
            with self._lend() as envs:
                yield envs
            return
        if not self._keep_envs:
            self.close()
        yield self._at_least(count)

    def _at_least(self, count: int) -> EnvGroup:
        if self._envs is None or self._made < count:
            self.close()
            # A few episodes end before a worker has started.
            workers = self._workers if count == self._settings.evaluation_envs else ()
            try:
                self._envs = EnvGroup(self._spec, count, workers)
            except EnvironmentUnusableError as error:
                raise EnvironmentUnusableError(f"{error}. {_ONLY_ONE}") from error
            self._made = count
        return self._envs

    def close(self) -> None:
        """Close the evaluator's own environments."""
        if self._envs is not None:
            self._envs.close()
        self._envs = None


class _Play:
    """The episodes of one evaluation, several at the same time."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        envs: EnvGroup,
        episodes: int,
        seed_of: Callable[[int], int],
        most_steps: int,
    ) -> None:
        self._envs, self._seed_of, self._most_steps = envs, seed_of, most_steps
        self._waiting = iter(range(episodes))
        """The episodes that have not begun."""
        self._playing: dict[int, int] = {}
        """The episode that each environment in use is playing."""
        # The last bits of a matrix product depend on its number of rows, so the number is fixed.
        self._stack = FrameStack(spec, MAX_EVALUATION_ENVS)
        self.returns, self.lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        self.has_ended = np.zeros(episodes, np.bool_)

    @property
    def is_running(self) -> bool:
        """Whether an episode is being played."""
        return bool(self._playing)

    def begin(self, free: Iterable[int]) -> None:
        """Begin the next episodes in environments that play none, as far as there are any."""
        begun = dict(zip(free, self._waiting, strict=False))
        if begun:
            numbers = list(begun.values())
            seeds = [self._seed_of(episode) for episode in numbers]
            rows = self._envs.reset(list(begun), seeds, numbers)
            self._stack.begin(list(begun), np.stack(rows))
            self._playing |= begun

    def step(self, q_values: QValues) -> list[int]:
        """Step every running episode; returns the environments whose episode has ended."""
        actions = np.argmax(q_values(self._stack.observation, self._stack.mask), axis=1)
        env_indices, free = list(self._playing), []
        steps = self._envs.step(env_indices, actions[env_indices].tolist())
        self._stack.push(env_indices, np.stack([step.row for step in steps]))
        for env_index, step in zip(env_indices, steps, strict=True):
            episode = self._playing[env_index]
            self.returns[episode] += step.reward
            self.lengths[episode] += 1
            if step.terminated or step.truncated or self.lengths[episode] >= self._most_steps:
                self.has_ended[episode] = True
                del self._playing[env_index]
                free.append(env_index)
        return free
