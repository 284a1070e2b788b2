"""Plays greedy episodes, usually in environments of their own."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from frankrl.config import MAX_EVALUATION_ENVS, EvaluationSettings
from frankrl.core.absent import refuse_absent
from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, warn
from frankrl.core.random import RESET_SEEDS, Use, reset_seed
from frankrl.environments import EnvGroup, EnvironmentSpec, Worker, functional_of
from frankrl.experience import NormalisedQValues, QValues
from frankrl.experience.remote.handles import ActorLostError
from frankrl.networks import QNetwork
from frankrl.training.evaluation import Evaluation
from frankrl.training.players import (
    NO_PLAYERS,
    STEPS_TOGETHER,
    Players,
    PlayerWeights,
    PlayingElsewhere,
)
from frankrl.training.playing import EndedEpisode, Playing

if TYPE_CHECKING:
    from frankrl.environments.functional.protocol import FunctionalEnvironment
    from frankrl.experience.device import DeviceEnvironments

_LEAST_DECIDING, _ERRORS = 8, 1.5
"""Episodes after which an evaluation may be given up, and by how many standard errors its mean must
then be too low."""

_ONLY_ONE = (
    "Evaluations have environments of their own beside those of training. If only one can exist, "
    "set evaluation_on to training, or evaluate_every_env_steps and final_evaluation_episodes to "
    "none; evaluation_envs sets how many are made"
)


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
        players: Players = NO_PLAYERS,
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
            players: processes that play some of the episodes; closed with the evaluator.
        """
        self._spec = spec
        self._players = players
        self._workers = workers
        self._settings = settings or EvaluationSettings()
        self._lend = lend
        self._keep_envs = keep_envs
        self._restarts = restarts
        self._envs: EnvGroup | None = None
        self._made = 0
        self._functional = functional_of(spec)

    def prepare(self, q_values: NormalisedQValues) -> None:
        """Try whether an environment can be made and reset beside those of training; begin to
        compile one that is functional.

        Args:
            q_values: as they will be for `evaluate`, with any weights.

        Raises:
            EnvironmentUnusableError: it cannot; the message names the settings that help.
        """
        if self._functional is not None:
            from frankrl.training.functional_evaluation import compile_beside

            policy = q_values.policy
            environments = self._many(self._functional, policy.network)
            compile_beside(environments, policy.network, policy.vector, q_values.scales)
        elif self._lend is None:
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
        weights: PlayerWeights | None = None,
    ) -> Evaluation:
        """Play episodes with the action of highest Q-value in every state.

        Args:
            q_values: Q-values of a batch of observations, and what is remembered after them.
            episodes: number of episodes.
            use: purpose of the evaluation; decides its seeds, together with the next two.
            seed: seed of the evaluation.
            number: distinguishes evaluations with the same use and seed.
            stop_requested: called after every step; if true, the evaluation is aborted.
            hopeless_below: the mean return that is wanted. As soon as that of the first episodes,
                of eight or more, lies below it by 1.5 standard errors, the evaluation ends with
                these.
            on_episode: called at the beginning and whenever episodes have ended, with the episodes
                that have ended and the episodes to play.
            weights: from which players compute what `q_values` does; None: they are not asked.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
            EnvironmentUnusableError: an environment cannot be made.
            EvaluationStopped: a stop was requested.

        Returns:
            The evaluation. It depends only on the arguments.
        """
        seeds = {n: reset_seed(seed, use, number, n) for n in range(episodes)}
        if self._functional is not None and isinstance(q_values, NormalisedQValues):
            ended = self._compiled(self._functional, q_values, seeds, stop_requested)
            return _gathered(ended, episodes, stop_requested, hopeless_below, on_episode)
        players = NO_PLAYERS if weights is None else self._players.ready()
        try:
            with contextlib.closing(
                self._ended(q_values, seeds, players.begun(weights, seeds))
            ) as ended:
                return _gathered(ended, episodes, stop_requested, hopeless_below, on_episode)
        except ActorLostError as error:
            warn(f"evaluations are played without other processes from here on: {error}")
            self._players.close()
            self._players = NO_PLAYERS
            return self.evaluate(
                q_values,
                episodes,
                use,
                seed,
                number,
                stop_requested,
                hopeless_below,
                on_episode,
            )

    def _ended(
        self, q_values: QValues, seeds: Mapping[int, int], others: PlayingElsewhere
    ) -> Generator[list[EndedEpisode]]:
        """Play episodes; yields those that have ended, again and again.

        Args:
            q_values: as for `evaluate`.
            seeds: the seed of each episode, by its number.
            others: some of these episodes, which are played elsewhere.
        """
        own = {n: seed for n, seed in seeds.items() if n not in others.episodes}
        most = others.at_once if others.episodes else self._settings.evaluation_envs
        at_once = 1 if self._lend else min(len(own), most)
        if self._made > most:
            # Others have some of them now.
            self._close_envs()
        most_steps = self._settings.evaluation_max_episode_steps
        with self._open(at_once) as envs:
            play = Playing(self._spec, envs, at_once, own, most_steps, restarts=self._restarts)
            while play.is_running or others.are_running:
                answer = others.advance()
                for _ in range(STEPS_TOGETHER):
                    if play.is_running:
                        yield play.step(q_values)
                if others.episodes:
                    yield answer()

    def _compiled(
        self,
        functional: "FunctionalEnvironment",
        q_values: NormalisedQValues,
        seeds: Mapping[int, int],
        stop_requested: Callable[[], bool],
    ) -> Generator[list[EndedEpisode]]:
        """As `_ended` in a functional environment: many episodes at once, in compiled calls."""
        from frankrl.training.functional_evaluation import play

        def stop() -> None:
            if stop_requested():
                raise EvaluationStopped

        policy, most_steps = q_values.policy, self._settings.evaluation_max_episode_steps
        environments = self._many(functional, policy.network)
        numbers = list(seeds)
        for first in range(0, len(numbers), MAX_EVALUATION_ENVS):
            part = numbers[first : first + MAX_EVALUATION_ENVS]
            returns, lengths, is_unfit = play(
                environments,
                policy.network,
                policy.vector,
                q_values.scales,
                [seeds[number] for number in part],
                most_steps,
                stop,
            )
            if is_unfit:
                raise EnvironmentFailedError(
                    f"{self._spec.env_id} gave in an evaluation a reward or an observation that is "
                    "not finite or not in its space, or an action mask that allows no action"
                )
            ended = zip(part, returns.tolist(), lengths.tolist(), strict=True)
            yield [EndedEpisode(*episode, math.nan) for episode in ended]

    def _many(self, functional: "FunctionalEnvironment", network: QNetwork) -> "DeviceEnvironments":
        """Those that play at the same time."""
        from frankrl.experience.device import DeviceEnvironments

        counts = (MAX_EVALUATION_ENVS, network.memory_units)
        return DeviceEnvironments.of(functional, self._spec, *counts)

    @contextlib.contextmanager
    def _open(self, count: int) -> Iterator[EnvGroup]:
        """At least `count` environments, for one evaluation."""
        if self._lend is not None:
            with self._lend() as envs:
                yield envs
            return
        if not self._keep_envs:
            self._close_envs()
        yield self._at_least(count)

    def _at_least(self, count: int) -> EnvGroup:
        refuse_absent(self._spec.env_id)
        if self._envs is None or self._made < count:
            refuse_absent(self._spec.env_id)
            self._close_envs()
            # A few episodes end before a worker has started.
            workers = self._workers if count == self._settings.evaluation_envs else ()
            try:
                self._envs = EnvGroup(self._spec, count, workers)
            except EnvironmentUnusableError as error:
                raise EnvironmentUnusableError(f"{error}. {_ONLY_ONE}") from error
            self._made = count
        return self._envs

    def close(self) -> None:
        """Close the evaluator's own environments, and its players."""
        self._close_envs()
        self._players.close()

    def _close_envs(self) -> None:
        if self._envs is not None:
            self._envs.close()
        self._envs, self._made = None, 0


def _gathered(
    ended: Iterable[list[EndedEpisode]],
    episodes: int,
    stop_requested: Callable[[], bool],
    hopeless_below: float,
    on_episode: Callable[[int, int], None],
) -> Evaluation:
    """An evaluation from its episodes as they end; arguments as of `Evaluator.evaluate`."""
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    successes, has_ended = np.full(episodes, np.nan), np.zeros(episodes, np.bool_)

    def result(first: int) -> Evaluation:
        given = None if np.isnan(successes[:first]).all() else np.nan_to_num(successes[:first])
        return Evaluation(returns[:first], lengths[:first], given)

    decided = 0
    on_episode(0, episodes)
    for some in ended:
        for n, episode_return, length, success in some:
            returns[n], lengths[n], successes[n] = episode_return, length, success
            has_ended[n] = True
        # In the order of their seeds: those that end first are not like the others.
        while decided < episodes and has_ended[decided]:
            decided += 1
            if _is_hopeless(returns[:decided], hopeless_below):
                return result(decided)
        if some:
            on_episode(int(has_ended.sum()), episodes)
        if decided < episodes and stop_requested():
            raise EvaluationStopped
    return result(episodes)


def _is_hopeless(returns: Float[np.ndarray, " episode"], wanted: float) -> bool:
    """Whether more episodes are not worth playing, since the mean will hardly reach what is wanted.

    It is no claim. Of agents whose true mean is just what is wanted it gives up one in 25 that
    would have reached it in 100 episodes; of those far below it, nearly all after eight.
    """
    if len(returns) < _LEAST_DECIDING or wanted == -math.inf:
        return False
    return bool(np.mean(returns) + _ERRORS * np.std(returns) / math.sqrt(len(returns)) < wanted)
