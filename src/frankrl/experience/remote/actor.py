"""An actor: steps some of a run's environments, wherever it is; what it is asked and answers.

It is plain Python and knows nothing of how messages reach it.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.cpu import cpu_model
from frankrl.core.numerics import own_numerics
from frankrl.environments import (
    EnvironmentLog,
    EnvironmentSpec,
    Position,
    make_vector,
)
from frankrl.experience.host_source import HostSource
from frankrl.experience.policy import make_policy
from frankrl.experience.source import Collected
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
    cpu: str
    """The model of its processor."""


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
        return RoundAnswer(request.env_steps, collected, self.states(), cpu_model())

    def states(self) -> list[EpisodeState]:
        """Where each of its environments stands."""
        return [_state(position) for position in self._source.positions()]

    def snapshot(self) -> list[EnvironmentLog]:
        """The state after the last complete round, in a form from which it can be restored."""
        return self._source.snapshot()

    @own_numerics()
    def restore(
        self, snapshot: list[EnvironmentLog], memory: Float[np.ndarray, "env unit"] | None
    ) -> list[int]:
        """Restore the state of a snapshot.

        Args:
            snapshot: a log for each of its environments.
            memory: what the network remembered of their episodes; None without a memory.

        Returns:
            Indices in the run of the environments that did not come to their states, and have begun
            their next episode instead.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        different = self._source.restore(snapshot)
        self._source.restore_memory(memory, different)
        return [self.part[place] for place in different]

    def restore_memory(self, memory: Float[np.ndarray, "env unit"]) -> None:
        """Go on from what the network remembered of the episodes of its environments."""
        self._source.restore_memory(memory)

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
