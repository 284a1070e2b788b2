"""Actors that run freely, in other processes or on other machines."""

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from frankrl.core.errors import ActorsLostError
from frankrl.environments import EnvironmentLog
from frankrl.experience.asynchronous import Logs, Request, Weights
from frankrl.experience.free_actor import Chunk
from frankrl.experience.remote.actor import in_words
from frankrl.experience.remote.handles import ActorHandle, ActorLostError, Actors, Plan, Wait

_MAX_REPLACEMENTS = 3
"""Actors that are tried in the place of one before a chunk comes."""


class FreeActors:
    """Carries requests to actors, wherever they are, and chunks back as they come.

    A lost actor is replaced: the new one is restored to the end of the last chunk that came, and is
    asked again for those that were under way, with the same weights.
    """

    def __init__(
        self, actors: Actors, parts: Sequence[range], plan_of: Callable[[range], Plan]
    ) -> None:
        """Start the actors; every environment is at the beginning of its first episode.

        Args:
            actors: where the actors are made; closed with these.
            parts: indices of the environments of each actor, in order; together those of the run.
            plan_of: the plan of a `FreeActor` with these environments.

        Raises:
            ActorsLostError: the actors cannot be had.
        """
        count = len(parts)
        self._actors, self._parts = actors, parts
        self._plans = [plan_of(part) for part in parts]
        self._handles: list[ActorHandle | None] = [None] * count
        self._logs: list[list[EnvironmentLog] | None] = [None] * count
        """Where each actor stood after its last chunk; None: where the run began."""
        self._asked: list[collections.deque[tuple[Request, Any]]] = [
            collections.deque() for _ in range(count)
        ]
        """The requests under way, with the weights as they are sent."""
        self._lives = [0] * count
        """Actors that each one has had in its place."""
        self._replaced = [0] * count
        """Those of them since its last chunk."""
        self._shared: tuple[int, Any] = (-1, None)
        """The version of the weights that were shared last, and how they are sent."""
        self._came: queue.SimpleQueue[tuple[int, int, Any]] = queue.SimpleQueue()
        """Actor, its life, and its answer or an error."""
        self._waits: list[queue.SimpleQueue[tuple[int, Wait] | None]] = [
            queue.SimpleQueue() for _ in range(count)
        ]
        self._threads = [
            threading.Thread(target=self._listen, args=(actor,), daemon=True)
            for actor in range(count)
        ]
        try:
            for actor in range(count):
                self._handles[actor] = actors.start(self._plans[actor])
        except ActorLostError as error:
            self.close()
            raise ActorsLostError(f"an actor cannot be started: {error}") from error
        except BaseException:
            self.close()
            raise
        for thread in self._threads:
            thread.start()

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """Let each actor go on from the snapshots of its environments.

        Raises:
            ActorsLostError: an actor was lost.
            FrankError: an environment cannot be made there, or fails.
        """
        handles = [self._handle(actor) for actor in range(len(self._handles))]
        try:
            if logs is not None:
                waits = [h.ask("restore", own) for h, own in zip(handles, logs, strict=True)]
                for wait in waits:
                    wait()
            found: list[Logs] = [wait() for wait in [h.ask("logs") for h in handles]]
        except ActorLostError as error:
            raise ActorsLostError(f"an actor was lost before its first steps: {error}") from error
        if logs is not None:
            self._logs = list(found)
        return found

    def ask(self, request: Request, weights: Weights) -> None:
        if self._shared[0] != weights.updates:
            self._shared = (weights.updates, self._actors.shared(weights.params))
        self._asked[request.actor].append((request, self._shared[1]))
        self._send(request, self._shared[1])

    def _send(self, request: Request, params: Any) -> None:
        actor = request.actor
        wait = self._handle(actor).ask("collect", request.chunk, params)
        self._waits[actor].put((self._lives[actor], wait))

    def next(self) -> tuple[int, Chunk]:
        """Wait for the next chunk of any actor.

        Raises:
            ActorsLostError: an actor was lost, and so were those in its place.
            FrankError: an actor failed.
        """
        while True:
            actor, life, found = self._came.get()
            if life != self._lives[actor]:
                continue
            if isinstance(found, Chunk):
                self._replaced[actor] = 0
                self._asked[actor].popleft()
                self._logs[actor] = found.logs
                return actor, found
            if not isinstance(found, ActorLostError):
                raise found
            self._replaced[actor] += 1
            if self._replaced[actor] > _MAX_REPLACEMENTS:
                part = in_words(self._parts[actor])
                raise ActorsLostError(
                    f"the actor with the environments {part} was lost, and so were "
                    f"{_MAX_REPLACEMENTS} in its place: {found}"
                )
            try:
                self._replace(actor)
            except ActorLostError as error:
                self._came.put((actor, self._lives[actor], error))

    def _replace(self, actor: int) -> None:
        """Start another actor in the place of one, and ask it for what was under way.

        Raises:
            ActorLostError: it was lost, too.
        """
        self._handle(actor).close()
        self._lives[actor] += 1
        handle = self._handles[actor] = self._actors.start(self._plans[actor])
        if (logs := self._logs[actor]) is not None:
            handle.ask("restore", logs)
            digests = [log.digest for log in handle.ask("logs")()]
            if digests != [log.digest for log in logs]:
                part = in_words(self._parts[actor])
                raise ActorsLostError(
                    "an actor was lost, and in the one that takes its place an environment of "
                    f"{part} did not replay to the same bits"
                )
        for request, params in self._asked[actor]:
            self._send(request, params)

    def _listen(self, actor: int) -> None:
        """Wait for one answer after the other of an actor, in a thread of its own."""
        while (asked := self._waits[actor].get()) is not None:
            life, wait = asked
            try:
                found: Any = wait()
            except BaseException as error:
                found = error
            self._came.put((actor, life, found))

    def _handle(self, actor: int) -> ActorHandle:
        handle = self._handles[actor]
        assert handle is not None
        return handle

    def close(self) -> None:
        """End the actors, whatever they are doing."""
        for waits in self._waits:
            waits.put(None)
        for handle in self._handles:
            if handle is not None:
                handle.close()
        self._handles = [None] * len(self._handles)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._actors.close()
