"""Actors that run freely, in other processes or on other machines."""

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

from frankrl.experience.actors_state import Weights
from frankrl.experience.asynchronous_feed import Logs, Request
from frankrl.experience.free_actor import Chunk
from frankrl.experience.remote.handles import ActorLostError, Actors, Plan, Wait
from frankrl.experience.remote.replacing import ReplacedActors, after


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
        """
        count = len(parts)
        self._logs: list[Logs | None] = [None] * count
        """Where each actor stood after its last chunk; None: where the run began."""
        self._asked: list[collections.deque[tuple[Request, Any]]] = [
            collections.deque() for _ in range(count)
        ]
        """The requests under way, with the weights as they are sent."""
        self._lives = [0] * count
        """Actors that each one has had in its place."""
        self._shared: tuple[int, Any] = (-1, None)
        """The version of the weights that were shared last, and how they are sent."""
        self._came: queue.SimpleQueue[tuple[int, int, Any]] = queue.SimpleQueue()
        """Actor, its life, and its answer or an error."""
        self._waits: list[queue.SimpleQueue[tuple[int, Wait] | None]] = [
            queue.SimpleQueue() for _ in range(count)
        ]
        self._actors = ReplacedActors(actors, parts, plan_of)
        self._threads = [
            threading.Thread(target=self._listen, args=(actor,), daemon=True)
            for actor in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        """Let each actor go on from the snapshots of its environments.

        Raises:
            ActorsLostError: an actor was lost, and so were those in its place.
            FrankError: an environment cannot be made there, or fails.
        """

        def ask(actor: int) -> Wait:
            if logs is None:
                return self._actors.ask(actor, "logs")
            restored = self._actors.ask(actor, "restore", logs[actor])
            return after(restored, self._actors.ask(actor, "logs"))

        found: list[Logs] = self._actors.answers(ask)
        if logs is not None:
            self._logs = list(found)
        return found

    def ask(self, request: Request, weights: Weights) -> None:
        """See `Carrier.ask`."""
        if self._shared[0] != weights.updates:
            self._shared = (weights.updates, self._actors.shared(weights.params))
        self._asked[request.actor].append((request, self._shared[1]))
        self._send(request, self._shared[1])

    def _send(self, request: Request, params: Any, restored: Wait | None = None) -> None:
        """Ask an actor; one that is being restored must have come to its state first."""
        actor = request.actor
        wait = self._actors.ask(actor, "collect", request.chunk, params)
        wait = wait if restored is None else after(restored, wait)
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
                self._actors.note_answer(actor)
                self._asked[actor].popleft()
                self._logs[actor] = found.logs
                return actor, found
            if not isinstance(found, ActorLostError):
                raise found
            self._replace(actor, found)

    def _replace(self, actor: int, lost: ActorLostError) -> None:
        """Start another actor in the place of one, and ask it for what was under way.

        Raises:
            ActorsLostError: others in its place were lost as well, without a chunk.
        """
        logs = self._logs[actor]
        restored = self._actors.replace(actor, lost, None if logs is None else (logs,))
        self._lives[actor] += 1
        for number, (request, params) in enumerate(self._asked[actor]):
            self._send(request, params, None if number else restored)

    def _listen(self, actor: int) -> None:
        """Wait for one answer after the other of an actor, in a thread of its own."""
        while (asked := self._waits[actor].get()) is not None:
            life, wait = asked
            try:
                found: Any = wait()
            except BaseException as error:
                found = error
            self._came.put((actor, life, found))

    def close(self) -> None:
        """End the actors, whatever they are doing."""
        for waits in self._waits:
            waits.put(None)
        self._actors.end()
        for thread in self._threads:
            thread.join()
        self._actors.close()
