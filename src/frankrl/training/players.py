"""Processes that play episodes of evaluations, each with a policy of its own.

One Python process steps one environment at a time. While the main process plays the episodes of an
evaluation, the other cores have nothing to do; so whole episodes are played there, which needs one
message for many steps.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import EnvironmentUnusableError, FrankError, warn
from frankrl.core.normalisation import Scales
from frankrl.core.numerics import own_numerics
from frankrl.core.system import available_memory
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
start."""
MOST_PLAYERS = 8
_PLAYER_BYTES = 250_000_000
"""Memory of a player without its environments."""
_MEMORY_SHARE = 0.25
"""Share of the free memory that all players of a run may take."""
_one_of_several = contextvars.ContextVar("_one_of_several", default=False)


@contextlib.contextmanager
def one_of_several() -> Iterator[None]:
    """Within this context, runs start no players: others train at the same time on this machine."""
    before = _one_of_several.set(True)
    try:
        yield
    finally:
        _one_of_several.reset(before)


class PlayerWeights(NamedTuple):
    """What Q-values are computed from."""

    params: Float[np.ndarray, " weight"]
    scales: Scales | None
    """How observations are normalised; None: they are not."""


class PlayerPlan(NamedTuple):
    """What a player is made from."""

    spec: EnvironmentSpec
    network: QNetwork
    most_steps: int
    """An episode is ended after so many steps."""

    def make(self) -> "Player":
        """The player, in its process."""
        return Player(self)


class Player:
    """Plays episodes where it is. It makes no environment before its first episode."""

    def __init__(self, plan: PlayerPlan) -> None:
        self._plan = plan
        self._envs: EnvGroup | None = None
        self._made = 0
        self._policy = HostPolicy(plan.network)

    def is_ready(self) -> bool:
        """True, once it can be asked to play."""
        return True

    @own_numerics()
    def begin(self, weights: PlayerWeights, seeds: Mapping[int, int], at_once: int) -> None:
        """Begin to play some episodes.

        Args:
            weights: from which Q-values are computed.
            seeds: the seed of each episode, by its number.
            at_once: most episodes that are played at once, each in an environment.

        Raises:
            EnvironmentUnusableError: environments cannot be made here, or are others here.
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        self._policy.load(weights.params)
        self._q_values = NormalisedQValues(self._policy, weights.scales)
        at_once = min(at_once, len(seeds))
        envs, plan = self._at_least(at_once), self._plan
        self._play = Playing(plan.spec, envs, at_once, seeds, plan.most_steps)

    def _at_least(self, count: int) -> EnvGroup:
        if self._envs is None:
            self._check_same()
        if self._envs is None or self._made < count:
            self.close()
            self._envs, self._made = EnvGroup(self._plan.spec, count), count
        return self._envs

    def _check_same(self) -> None:
        spec = self._plan.spec
        here = describe(
            spec.env_id,
            spec.env_kwargs,
            spec.mask_setting,
            spec.preprocessing,
            spec.wrappers,
        )
        if spec_fingerprint(here) != spec_fingerprint(spec):
            raise EnvironmentUnusableError(f"{spec.env_id} is another environment here")

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

    def close(self) -> None:
        """Close the environments."""
        if self._envs is not None:
            self._envs.close()
        self._envs = None


class PlayingElsewhere:
    """Episodes that players are playing."""

    def __init__(
        self, playing: Mapping[ProcessActor, set[int]], begun: Iterable[Wait], at_once: int
    ) -> None:
        self._begun = list(begun)
        """Wait until they have begun."""
        self.at_once = at_once
        """Most episodes that each process plays at once, the main process as well."""
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
            `ActorLostError` if a player has died or cannot make its environments, and
            `EnvironmentFailedError`.
        """
        waits = {player: player.ask("advance") for player, left in self._left.items() if left}

        def answer() -> list[EndedEpisode]:
            try:
                while self._begun:
                    self._begun.pop()()
            except EnvironmentUnusableError as error:
                raise ActorLostError(str(error)) from error
            ended: list[EndedEpisode] = []
            for player, wait in waits.items():
                some = wait()
                self._left[player] -= {episode.episode for episode in some}
                ended += some
            return ended

        return answer


class Players:
    """The players of a run."""

    def __init__(self, players: Sequence[ProcessActor] = (), most_envs: int = 1) -> None:
        """Does not wait until they have started.

        Args:
            players: their processes.
            most_envs: most environments of all processes together, the main process included.
        """
        self._most_envs = most_envs
        self._starting: list[tuple[ProcessActor, Wait]] = [
            (player, player.ask("is_ready")) for player in players
        ]
        self._ready: list[ProcessActor] = []
        self._asked: list[ProcessActor] = []
        """Those that have been asked to play, and may have environments."""

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
        at_once = max(1, self._most_envs // parts)
        for place, player in enumerate(self._ready, 1):
            own = {n: seed for n, seed in seeds.items() if n % parts == place}
            if weights is not None and own:
                self._asked += [player] if player not in self._asked else []
                begun.append(player.ask("begin", weights, own, at_once))
                playing[player] = set(own)
        return PlayingElsewhere(playing, begun, at_once)

    def close(self) -> None:
        """End their processes; those that may have environments close them."""
        for player in self._asked:
            player.hang_up()
        for player in (*self._ready, *(player for player, _ in self._starting)):
            if player in self._asked:
                player.close()
            else:
                _end(player)
        self._starting, self._ready, self._asked = [], [], []


NO_PLAYERS = Players()


def _end(player: ProcessActor) -> None:
    # It may still be importing, and has nothing to lose.
    player.process.kill()
    player.close()


def start_players(plan: PlayerPlan, step_seconds: float, env_steps: int, most_envs: int) -> Players:
    """Start as many players as speed up evaluations; none within `one_of_several`.

    Args:
        plan: what they are made from.
        step_seconds: time of a step of the environment.
        env_steps: steps of the whole run.
        most_envs: most environments of an evaluation.
    """
    if _one_of_several.get() or step_seconds * env_steps < _LEAST_RUN_SECONDS:
        return NO_PLAYERS
    shares = int(step_seconds * most_envs / _LEAST_SHARE_SECONDS)
    processes = min(visible_cpus(), shares, most_envs, MOST_PLAYERS + 1)
    if (memory := available_memory()) is not None:
        processes = min(processes, 1 + int(memory * _MEMORY_SHARE / _PLAYER_BYTES))
    players: list[ProcessActor] = []
    with contextlib.suppress(ActorLostError):
        for _ in range(processes - 1):
            players.append(ProcessActor(plan))
    return Players(players, most_envs)
