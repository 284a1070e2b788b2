"""The source of actors that run freely: their chunks, in the order in which they arrive.

Which chunk comes next depends on the clock. So each arrival is written down: with the arrivals of a
run and its seed, the same source gives the same steps again, in one process.

Source: Horgan et al. (2018), Ape-X. https://arxiv.org/abs/1803.00933
"""

import collections
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.cpu import cpu_model
from frankrl.core.errors import RunFolderError
from frankrl.core.text import shown
from frankrl.core.types import Arrival, FinalInfo, Steps
from frankrl.environments import EnvironmentLog
from frankrl.experience.free_actor import Chunk, FreeActor
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.source import Collected

Logs = list[EnvironmentLog]
"""Snapshots of the environments of one actor."""
REQUESTS_AHEAD = 2
"""Chunks that an actor is asked for at a time: while the learner takes one, it collects another."""


class Weights(NamedTuple):
    """Weights of the Q-network at some point of the run."""

    updates: int
    """Updates of the run that led to them: their version."""
    params: Float[np.ndarray, " weight"]


class Request(NamedTuple):
    """A chunk that is asked for."""

    actor: int
    chunk: int
    """Number of the chunk among those of this actor, from 0."""
    updates: int
    """Version of the weights that act."""


class ActorsState(NamedTuple):
    """What a checkpoint holds of actors besides the snapshots of their environments."""

    chunks: tuple[int, ...]
    """How many chunks of each actor there have been."""
    weights: tuple[Weights, ...]
    """The weights of the chunks that were under way, the oldest first."""


@runtime_checkable
class Carrier(Protocol):
    """Carries requests to actors, and their chunks back."""

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """Let each actor go on from the snapshots of its environments; before any request.

        Args:
            logs: of each actor; None: where the run begins.

        Returns:
            Likewise, where they stand: an environment that did not come to the same state has
            begun its next episode.
        """
        ...

    def ask(self, request: Request, weights: Weights) -> None:
        """Ask an actor for a chunk; it gives those that it is asked for in their order."""
        ...

    def next(self) -> tuple[int, Chunk]:
        """Wait for the next chunk of any actor; returns the actor's number, too.

        Raises:
            FrankError: an actor failed.
        """
        ...

    def close(self) -> None:
        """End the actors."""
        ...


@runtime_checkable
class Feed(Protocol):
    """Gives one chunk after the other, with what was asked for."""

    def next(self, env_steps: int, newest: Weights) -> tuple[Request, Chunk]:
        """The next chunk.

        Args:
            env_steps: env steps of the run after it.
            newest: the newest weights that actors can be given.
        """
        ...

    def under_way(self) -> list[Weights]:
        """The weights of all chunks that have been asked for and not come yet."""
        ...

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """As `Carrier.begin`."""
        ...

    def stand_at(self, state: ActorsState) -> None:
        """Go on from a checkpoint, of which `begin` gets the snapshots."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class LiveFeed:
    """Asks actors for chunks and takes them as they come.

    When a chunk has come, its actor is asked for another one, with the newest weights.
    """

    def __init__(self, carrier: Carrier, count: int) -> None:
        """Asks for nothing yet.

        Args:
            carrier: reaches the actors; closed with the feed.
            count: their number.
        """
        self._carrier = carrier
        self._next_chunk = [0] * count
        self._asked: list[collections.deque[Request]] = [collections.deque() for _ in range(count)]
        self._weights: dict[int, Weights] = {}

    def next(self, env_steps: int, newest: Weights) -> tuple[Request, Chunk]:
        # In turns, so that all actors begin at once.
        for _, actor in itertools.product(range(REQUESTS_AHEAD), range(len(self._asked))):
            if len(self._asked[actor]) < REQUESTS_AHEAD:
                self._ask(actor, newest)
        actor, chunk = self._carrier.next()
        request = self._asked[actor].popleft()
        wanted = {each.updates for asked in self._asked for each in asked}
        self._weights = {at: self._weights[at] for at in sorted(wanted)}
        return request, chunk

    def _ask(self, actor: int, newest: Weights) -> None:
        request = Request(actor, self._next_chunk[actor], newest.updates)
        self._next_chunk[actor] += 1
        self._asked[actor].append(request)
        self._weights[newest.updates] = newest
        self._carrier.ask(request, newest)

    def under_way(self) -> list[Weights]:
        return list(self._weights.values())

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        return self._carrier.begin(logs)

    def stand_at(self, state: ActorsState) -> None:
        # Chunks that were under way are asked for again, with newer weights.
        self._next_chunk = list(state.chunks)

    def close(self) -> None:
        self._carrier.close()


class RecordedFeed:
    """Collects the chunks of a run again, in the order in which they arrived, in this process."""

    def __init__(self, actors: Sequence[FreeActor], arrivals: Mapping[int, Arrival]) -> None:
        """Collects nothing yet.

        Args:
            actors: all actors of the run.
            arrivals: what arrived, by the env steps of the run after it.
        """
        self._actors, self._arrivals = actors, arrivals
        self._weights: dict[int, Weights] = {}
        self._last_use: dict[int, int] = {}
        for env_steps, arrival in sorted(arrivals.items()):
            self._last_use[arrival.updates] = env_steps

    def next(self, env_steps: int, newest: Weights) -> tuple[Request, Chunk]:
        if self._last_use.get(newest.updates, 0) >= env_steps:
            self._weights.setdefault(newest.updates, newest)
        arrival = self._arrivals.get(env_steps)
        if arrival is None or arrival.updates not in self._weights:
            what = "does not say what arrived" if arrival is None else "names unknown weights"
            raise RunFolderError(
                f"the run cannot be repeated: its table of arrivals {what} at env step "
                f"{env_steps:,}"
            )
        request = Request(arrival.actor, arrival.chunk, arrival.updates)
        weights = self._weights[arrival.updates]
        if self._last_use[arrival.updates] == env_steps:
            del self._weights[arrival.updates]
        return request, self._actors[arrival.actor].collect(arrival.chunk, weights.params)

    def under_way(self) -> list[Weights]:
        return list(self._weights.values())

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        if logs is not None:
            for actor, own in zip(self._actors, logs, strict=True):
                actor.restore(own)
        return [actor.logs() for actor in self._actors]

    def stand_at(self, state: ActorsState) -> None:
        self._weights = {each.updates: each for each in state.weights}

    def close(self) -> None:
        for actor in self._actors:
            actor.close()


class AsynchronousSource:
    """Gives the chunks of actors that run freely as rounds, one chunk each."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        updates_due: Callable[[int], int],
    ) -> None:
        """Take over the actors of a run.

        Args:
            settings: the run's settings.
            feed: gives their chunks; closed with the source.
            updates_due: updates of the run that are due after so many env steps.

        Raises:
            FrankError: the actors cannot be had; or an environment cannot be made there, or fails.
        """
        self._settings, self._feed, self._updates_due = settings, feed, updates_due
        self._size = settings.round_envs
        self._known_cpus = {cpu_model()}
        try:
            self._logs = [log for own in feed.begin(None) for log in own]
        except BaseException:
            feed.close()
            raise
        self._chunks = [0] * (settings.environment.num_envs // self._size)

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """The next chunk that arrives, of whatever actor.

        Args:
            policy: has the newest weights that actors can be given: those before the updates of
                the round before.
            env_steps: env steps of the run before the round.
        """
        after = env_steps + self._settings.round_env_steps
        updates = self._updates_due(env_steps - self._settings.round_env_steps)
        # A copy, because a policy may use its memory again.
        newest = Weights(updates, policy.vector.copy())
        request, chunk = self._feed.next(after, newest)
        own = request.actor * self._size
        self._logs[own : own + self._size] = chunk.logs
        self._chunks[request.actor] = request.chunk + 1
        final_infos: dict[int, FinalInfo] = {
            env_steps + at: info for at, info in chunk.final_infos.items()
        }
        steps: Steps = chunk.steps
        episodes = [e._replace(env_steps=env_steps + e.env_steps) for e in chunk.episodes]
        arrival = Arrival(after, request.actor, request.chunk, request.updates)
        reasons = self._not_exact_because(request.actor, chunk.cpu)
        return Collected(steps, episodes, final_infos, [], [], reasons, arrival)

    def _not_exact_because(self, actor: int, cpu: str) -> tuple[str, ...]:
        """Why a chunk may not repeat here; told once of each model of a processor."""
        if cpu in self._known_cpus:
            return ()
        self._known_cpus.add(cpu)
        return (f"actor {actor} computes on {shown(cpu)}, and the learner on {cpu_model()}",)

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Nothing: actors never wait for the learner."""

    def snapshot(self) -> list[EnvironmentLog]:
        return list(self._logs)

    def digests(self) -> list[bytes]:
        return [log.digest for log in self._logs]

    def scales(self) -> None:
        """Nothing is normalised, because no actor sees what the others do."""

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """No statistics, and returns of 0."""
        return None, np.zeros(self._settings.environment.num_envs)

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """Nothing: there are none."""

    def actors_state(self) -> ActorsState:
        """What a checkpoint holds of the actors besides the snapshots of their environments."""
        return ActorsState(tuple(self._chunks), tuple(self._feed.under_way()))

    def stand_at(self, state: ActorsState, updates_due: Callable[[int], int]) -> None:
        """Go on from a checkpoint; `restore` gets its snapshots.

        Args:
            state: what the checkpoint holds.
            updates_due: as in `__init__`, for a run whose buffer may have begun there.
        """
        self._chunks, self._updates_due = list(state.chunks), updates_due
        self._feed.stand_at(state)

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        size = self._size
        own = [snapshot[at : at + size] for at in range(0, len(snapshot), size)]
        self._logs = [log for logs in self._feed.begin(own) for log in logs]
        pairs = enumerate(zip(self._logs, snapshot, strict=True))
        return [index for index, (now, then) in pairs if now.digest != then.digest]

    def allow_restarts(self, most: int) -> None:
        """Nothing: no environment is made anew."""

    def close(self) -> None:
        self._feed.close()
