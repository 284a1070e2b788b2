"""An actor: steps some of a run's environments, wherever it is; what it is asked and answers.

It is plain Python and knows nothing of how messages reach it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.backend import prepared, start_backend
from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.numerics import own_numerics
from frankrl.environments import (
    EnvironmentLog,
    EnvironmentSpec,
    Position,
    describe_for,
    make_vector,
    spec_fingerprint,
)
from frankrl.experience.policy import make_policy
from frankrl.experience.source import Collected, HostSource
from frankrl.networks import QNetwork


class EpisodeState(NamedTuple):
    """Where an environment stands in its running episode; with its actions, an `EnvironmentLog`."""

    episode: int
    num_actions: int
    earlier: bytes
    digest: bytes


class RoundRequest(NamedTuple):
    """Asks an actor for its part of a round."""

    env_steps: int
    """Env steps of the run before the round."""
    restarts_left: int
    """How often an environment that fails may still be made anew, in the whole run."""


class RoundAnswer(NamedTuple):
    """An actor's part of a round."""

    env_steps: int
    """As in the request."""
    collected: Collected
    """The steps of its environments, of which there are fewer than in the run; else as the host's
    source gives them."""
    states: list[EpisodeState]
    """Of each of its environments after the round."""


class Restored(NamedTuple):
    """Answer to the request to restore a snapshot."""

    different: list[int]
    """Indices in the run of the environments that have begun their next episode instead."""
    states: list[EpisodeState]


@dataclass(frozen=True)
class ActorPlan:
    """All that an actor is made from; plain records that another process can make again."""

    env_id: str
    settings: Settings
    """The run's resolved settings."""
    network: QNetwork
    seed: int
    environment: str
    """`spec_fingerprint` of the environment."""
    part: range
    """Indices in the run of the environments that it has."""

    @own_numerics()
    def make(self) -> "Actor":
        """The actor, with each environment at the beginning of its first episode.

        Raises:
            FrankError: an environment cannot be made here, is another one, or fails.
        """
        return Actor(self.settings, self.spec(), self.network, self.seed, self.part)

    def spec(self) -> EnvironmentSpec:
        """The environment, described where the actor is.

        Raises:
            FrankError: it cannot be made here, or is another one.
        """
        with prepared():
            start_backend(on_cpu=True)
            spec = describe_for(self.env_id, self.settings)
        if spec_fingerprint(spec) != self.environment:
            raise EnvironmentUnusableError(
                f"{self.env_id} is another environment where the actor with the environments "
                f"{in_words(self.part)} is: install the same version of its package there"
            )
        return spec


class Actor:
    """Acts in some of a run's environments, one round after the other, as one machine would."""

    def __init__(
        self,
        settings: Settings,
        spec: EnvironmentSpec,
        network: QNetwork,
        seed: int,
        part: range,
    ) -> None:
        """Make the environments and begin the first episode of each.

        Args:
            settings: the run's settings.
            spec: the environment.
            network: the Q-network.
            seed: the run's seed.
            part: indices in the run of the environments that it has.

        Raises:
            FrankError: an environment cannot be made, or fails at its first reset.
        """
        self.part = part
        self._policy = make_policy(settings.training.acting, network)
        envs = make_vector(settings.environment, spec, seed, part=part)
        self._source = HostSource(settings, network, seed, envs)

    @own_numerics()
    def collect(self, params: Float[Any, " weight"], request: RoundRequest) -> RoundAnswer:
        """Step the environments through one round.

        Args:
            params: the network's parameters, as one vector, with which the round acts.
            request: which round.

        Raises:
            EnvironmentFailedError: an environment failed; nothing can be collected after this.
        """
        self._policy.load(params)
        self._source.allow_restarts(request.restarts_left)
        collected = self._source.collect(self._policy, request.env_steps)
        return RoundAnswer(request.env_steps, collected, self.states())

    def states(self) -> list[EpisodeState]:
        """Where each environment stands."""
        return [_state(position) for position in self._source.positions()]

    def snapshot(self) -> list[EnvironmentLog]:
        """The state after the last complete round, in a form from which it can be restored."""
        return self._source.snapshot()

    @own_numerics()
    def restore(self, snapshot: list[EnvironmentLog]) -> Restored:
        """Restore the state of a snapshot.

        Args:
            snapshot: a log for each of its environments.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        different = [self.part[place] for place in self._source.restore(snapshot)]
        return Restored(different, self.states())

    def close(self) -> None:
        """Close the environments."""
        self._source.close()


def _state(position: Position) -> EpisodeState:
    return EpisodeState(
        position.episode, position.num_actions, position.earlier, position.hashed.digest()
    )


def in_words(part: range) -> str:
    """The indices of some environments, for messages."""
    return str(part.start) if len(part) == 1 else f"{part.start} to {part.stop - 1}"
