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
from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, warn
from frankrl.core.figures import counted, figure
from frankrl.core.random import RESET_SEEDS, Use, reset_seed
from frankrl.core.types import Observation
from frankrl.environments import (
    SUCCESS,
    EnvGroup,
    EnvironmentSpec,
    EnvStep,
    FrameStack,
    Worker,
)
from frankrl.inline.block import html_block
from frankrl.training.in_words import mean_in_words, spread_of

_ORDER = ("min", "median", "max")
_RESAMPLES = 2_000
_MAX_DRAWN = 1_000_000
"""Values that are drawn together for resamples, so that they fit into memory."""

_LEAST_DECIDING, _ERRORS = 8, 1.5
"""Episodes after which an evaluation may be given up, and by how many standard errors its mean must
then be too low."""

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
    successes: Float[np.ndarray, " episode"] | None = None
    """What `is_success` was at the end of each episode, 0 where it was missing; None if no episode
    gave it."""

    @property
    def success_rate(self) -> float | None:
        """Mean of `is_success` over the episodes; None if no episode gave it."""
        return None if self.successes is None else float(np.mean(self.successes))

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
        rate = self.success_rate
        success = {} if rate is None else {"success_rate": rate}
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
            **success,
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


def _is_hopeless(returns: Float[np.ndarray, " episode"], wanted: float) -> bool:
    """Whether more episodes are not worth playing, since the mean will hardly reach what is wanted.

    It is no claim. Of agents whose true mean is just what is wanted it gives up one in 25 that
    would have reached it in 100 episodes; of those far below it, nearly all after eight.
    """
    if len(returns) < _LEAST_DECIDING or wanted == -math.inf:
        return False
    return bool(np.mean(returns) + _ERRORS * np.std(returns) / math.sqrt(len(returns)) < wanted)


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
        restarts: bool = False,
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
            restarts: whether an environment that fails is made anew, and its episode played once
                more.
        """
        self._spec = spec
        self._workers = workers
        self._settings = settings or EvaluationSettings()
        self._lend = lend
        self._keep_envs = keep_envs
        self._restarts = restarts
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
            hopeless_below: the mean return that is wanted. As soon as that of the first episodes,
                of eight or more, lies below it by 1.5 standard errors, the evaluation ends with these
                episodes.
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

        decided = 0
        at_once = 1 if self._lend else min(episodes, self._settings.evaluation_envs)
        with self._open(at_once) as envs:
            on_episode(0, episodes)
            most_steps = self._settings.evaluation_max_episode_steps
            play = _Play(self._spec, envs, episodes, seed_of, most_steps, restarts=self._restarts)
            play.begin(range(at_once))
            while play.is_running:
                if stop_requested():
                    raise EvaluationStopped
                free = play.step(q_values)
                # In the order of their seeds: those that end first are not like the others.
                while decided < episodes and play.has_ended[decided]:
                    decided += 1
                    if _is_hopeless(play.returns[:decided], hopeless_below):
                        return play.result(decided)
                play.begin(free)
                if free:
                    on_episode(int(play.has_ended.sum()), episodes)
        return play.result(episodes)

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
        *,
        restarts: bool,
    ) -> None:
        self._envs, self._seed_of, self._most_steps = envs, seed_of, most_steps
        self._waiting = iter(range(episodes))
        """The episodes that have not begun."""
        self._playing: dict[int, int] = {}
        """The episode that each environment in use is playing."""
        self._restarts = restarts
        self._played_again: set[int] = set()
        """The episodes that are played for the second time, after a failure."""
        # The last bits of a matrix product depend on its number of rows, so the number is fixed.
        self._stack = FrameStack(spec, MAX_EVALUATION_ENVS)
        self.returns, self.lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
        self.has_ended = np.zeros(episodes, np.bool_)
        self._successes = np.full(episodes, np.nan)

    @property
    def is_running(self) -> bool:
        """Whether an episode is being played."""
        return bool(self._playing)

    def result(self, first: int) -> Evaluation:
        """The evaluation, by its first so many episodes."""
        successes = self._successes[:first]
        given = None if np.isnan(successes).all() else np.nan_to_num(successes)
        return Evaluation(self.returns[:first], self.lengths[:first], given)

    def begin(self, free: Iterable[int]) -> None:
        """Begin the next episodes in environments that play none, as far as there are any."""
        self._reset(dict(zip(free, self._waiting, strict=False)))

    def _reset(self, episodes: dict[int, int]) -> None:
        """Begin an episode in each of some environments."""
        while episodes:
            indices, numbers = list(episodes), list(episodes.values())
            seeds = [self._seed_of(episode) for episode in numbers]
            rows, failures = self._envs.try_reset(indices, seeds, numbers)
            for place in sorted(failures):
                self._make_anew(indices[place], numbers[place], failures[place])
            begun = {
                index: row for index, row in zip(indices, rows, strict=True) if row is not None
            }
            if begun:
                self._stack.begin(list(begun), np.stack(list(begun.values())))
            self._playing |= {index: episodes.pop(index) for index in begun}

    def step(self, q_values: QValues) -> list[int]:
        """Step every running episode; returns the environments whose episode has ended."""
        actions = np.argmax(q_values(self._stack.observation, self._stack.mask), axis=1)
        env_indices, free = list(self._playing), []
        found, failures = self._envs.try_step(env_indices, actions[env_indices].tolist())
        again = {}
        for place in sorted(failures):
            again[env_indices[place]] = episode = self._playing.pop(env_indices[place])
            self._make_anew(env_indices[place], episode, failures[place])
        # One that was not stepped because another failed takes the same action in the next step.
        steps = {
            index: step for index, step in zip(env_indices, found, strict=True) if step is not None
        }
        if steps:
            self._stack.push(list(steps), np.stack([step.row for step in steps.values()]))
        for env_index, step in steps.items():
            if self._note(env_index, step):
                free.append(env_index)
        self._reset(again)
        return free

    def _note(self, env_index: int, step: EnvStep) -> bool:
        """Note a step; returns whether it has ended its episode."""
        episode = self._playing[env_index]
        self.returns[episode] += step.reward
        self.lengths[episode] += 1
        if step.final_info is not None:
            self._successes[episode] = step.final_info.values.get(SUCCESS, np.nan)
        if step.terminated or step.truncated or self.lengths[episode] >= self._most_steps:
            self.has_ended[episode] = True
            del self._playing[env_index]
            return True
        return False

    def _make_anew(self, env_index: int, episode: int, error: EnvironmentFailedError) -> None:
        """Make an environment anew that failed, so that its episode can be played once more."""
        if not self._restarts or episode in self._played_again:
            raise error
        warn(f"{error}; it is made anew, and this episode of the evaluation is played again")
        self._played_again.add(episode)
        self._envs.make_anew(env_index)
        self.returns[episode], self.lengths[episode] = 0, 0
