"""Processes that play episodes of evaluations, each with a policy of its own.

One Python process steps one environment at a time. While the main process plays the episodes of an
evaluation, the other cores have nothing to do; so whole episodes are played there, which needs one
message for many steps.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.config import MAX_EVALUATION_ENVS
from frankrl.core.backend import visible_cpus
from frankrl.core.errors import EnvironmentUnusableError, FrankError, warn
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.environments import EnvGroup, EnvironmentSpec, describe
from frankrl.environments.protocol import spec_fingerprint
from frankrl.experience import HostPolicy, NormalisedQValues
from frankrl.experience.remote.handles import ActorLostError, Wait
from frankrl.experience.remote.processes import ProcessActor
from frankrl.networks import QNetwork
from frankrl.training.playing import EndedEpisode, Playing

STEPS_TOGETHER = 64
"""Steps of all its environments that a player takes between two messages."""
_LEAST_RUN_SECONDS = 1.0
"""Minimum time of all steps of a run; a shorter one ends before a player has started."""
_LEAST_SHARE_SECONDS = 250e-6
"""Minimum time of a player's part of a step of all environments. A player takes 0.7 s of a core to
start, and 250 MB."""


class PlayerWeights(NamedTuple):
    """What Q-values are computed from."""

    params: Float[np.ndarray, " weight"]
    scales: Scales | None
    """How observations are normalised; None: they are not."""


class PlayerPlan(NamedTuple):
    """What a player is made from."""

    spec: EnvironmentSpec
    network: QNetwork
    most_envs: int
    most_steps: int
    """An episode is ended after so many steps."""

    def make(self) -> "Player":
        """The player, in its process."""
        return Player(self)


class Player:
    """Plays episodes where it is."""

    def __init__(self, plan: PlayerPlan) -> None:
        """Make the environments.

        Raises:
            EnvironmentUnusableError: they cannot be made here, or are others here.
        """
        spec = plan.spec
        here = describe(
            *(spec.env_id, spec.env_kwargs, spec.mask_setting, spec.preprocessing, spec.wrappers)
        )
        if spec_fingerprint(here) != spec_fingerprint(spec):
            raise EnvironmentUnusableError(f"{spec.env_id} is another environment here")
        self._plan = plan
        self._envs = EnvGroup(spec, plan.most_envs)
        self._policy = HostPolicy(plan.network)

    def is_ready(self) -> bool:
        """True, once it can play."""
        return True

    @own_numerics()
    def begin(self, weights: PlayerWeights, seeds: Mapping[int, int]) -> None:
        """Begin to play the episodes with these numbers and seeds.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        self._policy.load(weights.params)
        self._q_values = NormalisedQValues(self._policy, weights.scales)
        plan = self._plan
        self._play = Playing(plan.spec, self._envs, plan.most_envs, seeds, plan.most_steps)

    @own_numerics()
    def advance(self) -> list[EndedEpisode]:
        """Take `STEPS_TOGETHER` steps in every environment; returns the episodes that ended.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        ended: list[EndedEpisode] = []
        for _ in range(STEPS_TOGETHER):
            if self._play.is_running:
                ended += self._play.step(self._q_values)
        return ended


class PlayingElsewhere:
    """Episodes that players are playing."""

    def __init__(self, playing: Mapping[ProcessActor, set[int]], begun: Iterable[Wait]) -> None:
        self._begun = list(begun)
        """Wait until they have begun."""
        self._left = dict(playing)
        """The episodes that each player has not ended."""
        self.episodes = frozenset[int]().union(*playing.values())

    @property
    def are_running(self) -> bool:
        """Whether some of them have not ended."""
        return any(self._left.values())

    def advance(self) -> Callable[[], list[EndedEpisode]]:
        """Have the players take some steps.

        Returns:
            A function that waits for them, and returns the episodes that have ended. It raises
            `ActorLostError` if a player has died, and `EnvironmentFailedError`.
        """
        waits = {player: player.ask("advance") for player, left in self._left.items() if left}

        def answer() -> list[EndedEpisode]:
            while self._begun:
                self._begun.pop()()
            ended: list[EndedEpisode] = []
            for player, wait in waits.items():
                some = wait()
                self._left[player] -= {episode.episode for episode in some}
                ended += some
            return ended

        return answer


class Players:
    """The players of a run."""

    def __init__(self, players: Sequence[ProcessActor] = ()) -> None:
        self._starting: list[tuple[ProcessActor, Wait]] = [
            (player, player.ask("is_ready")) for player in players
        ]
        self._ready: list[ProcessActor] = []

    def __len__(self) -> int:
        return len(self._starting) + len(self._ready)

    def ready(self) -> "Players":
        """These players, after looking which of them have started; nothing waits for the others."""
        for player, wait in [each for each in self._starting if each[0].has_answered()]:
            self._starting.remove((player, wait))
            try:
                wait()
            except (FrankError, ActorLostError) as error:
                warn(f"evaluations are played without another process: {error}")
                _end(player)
            else:
                self._ready.append(player)
        return self

    def begun(self, weights: PlayerWeights | None, seeds: Mapping[int, int]) -> PlayingElsewhere:
        """Have the players that are ready begin their share of some episodes.

        Args:
            weights: from which Q-values are computed; None: nothing begins.
            seeds: the seed of each of all episodes, by its number.
        """
        parts, playing, begun = 1 + len(self._ready), {}, []
        for place, player in enumerate(self._ready, 1):
            own = {n: seed for n, seed in seeds.items() if n % parts == place}
            if weights is not None and own:
                begun.append(player.ask("begin", weights, own))
                playing[player] = set(own)
        return PlayingElsewhere(playing, begun)

    def close(self) -> None:
        """End their processes, whatever they are doing."""
        for player in (*self._ready, *(player for player, _ in self._starting)):
            _end(player)
        self._starting, self._ready = [], []


NO_PLAYERS = Players()


def _end(player: ProcessActor) -> None:
    # It may still be importing, and has nothing to lose.
    player.process.kill()
    player.close()


def start_players(plan: PlayerPlan, step_seconds: float, env_steps: int) -> Players:
    """Start as many players as speed up evaluations.

    Args:
        plan: what they are made from.
        step_seconds: time of a step of the environment.
        env_steps: steps of the whole run.
    """
    if step_seconds * env_steps < _LEAST_RUN_SECONDS:
        return NO_PLAYERS
    shares = int(step_seconds * MAX_EVALUATION_ENVS / _LEAST_SHARE_SECONDS)
    players: list[ProcessActor] = []
    with contextlib.suppress(ActorLostError):
        for _ in range(min(visible_cpus(), shares) - 1):
            players.append(ProcessActor(plan))
    return Players(players)
