"""Chunks of actors that run freely: asked for and taken as they come, or collected again.

Which chunk comes next depends on the clock. So each arrival is written down: with the arrivals of a
run and its seed, the same chunks can be collected again, in one process.

Source: Horgan et al. (2018), Ape-X. https://arxiv.org/abs/1803.00933
"""

import collections
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from frankrl.core.errors import RunFolderError
from frankrl.core.types import Arrival
from frankrl.environments import EnvironmentLog
from frankrl.experience.actors_state import ActorsState, Weights
from frankrl.experience.free_actor import Chunk, FreeActor

Logs = list[EnvironmentLog]
"""Snapshots of the environments of one actor."""
REQUESTS_AHEAD = 2
"""Chunks that an actor is asked for at a time: while the learner takes one, it collects another."""


class Request(NamedTuple):
    """A chunk that is asked for."""

    actor: int
    chunk: int
    """Number of the chunk among those of this actor, from 0."""
    updates: int
    """Version of the weights that act."""


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
        """See `Feed.next`."""
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
        """See `Feed.under_way`."""
        return list(self._weights.values())

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """See `Feed.begin`."""
        return self._carrier.begin(logs)

    def stand_at(self, state: ActorsState) -> None:
        """See `Feed.stand_at`."""
        # Chunks that were under way are asked for again, with newer weights.
        self._next_chunk = list(state.chunks)

    def close(self) -> None:
        """See `Feed.close`."""
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
        """See `Feed.next`."""
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
        """See `Feed.under_way`."""
        return list(self._weights.values())

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """See `Feed.begin`."""
        if logs is not None:
            for actor, own in zip(self._actors, logs, strict=True):
                actor.restore(own)
        return [actor.logs() for actor in self._actors]

    def stand_at(self, state: ActorsState) -> None:
        """See `Feed.stand_at`."""
        self._weights = {each.updates: each for each in state.weights}

    def close(self) -> None:
        """See `Feed.close`."""
        for actor in self._actors:
            actor.close()
