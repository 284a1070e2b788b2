"""Actors that run freely in threads of this process, where nothing else is at hand."""

import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import Any

from frankrl.core.blas import one_blas_thread
from frankrl.core.numerics import in_own_jax
from frankrl.experience.asynchronous import Logs, Request, Weights
from frankrl.experience.free_actor import Chunk, FreeActor


class ActorThreads:
    """A thread for each actor; chunks come in the order in which they are done."""

    def __init__(self, actors: Sequence[FreeActor]) -> None:
        """Start the threads.

        Args:
            actors: closed with the threads.
        """
        self._actors = actors
        self._asked: list[queue.SimpleQueue[tuple[Request, Weights] | None]] = [
            queue.SimpleQueue() for _ in actors
        ]
        self._done: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._stack = contextlib.ExitStack()
        # NumPy's threads are those of the process, and actors also work between two events.
        self._stack.enter_context(one_blas_thread())
        self._threads = [
            threading.Thread(target=in_own_jax, args=(self._act, number), daemon=True)
            for number in range(len(actors))
        ]
        for thread in self._threads:
            thread.start()

    def _act(self, number: int) -> None:
        while (asked := self._asked[number].get()) is not None:
            request, weights = asked
            try:
                found: Any = self._actors[number].collect(request.chunk, weights.params)
            except BaseException as error:
                found = error
            self._done.put((number, found))

    def begin(self, logs: Sequence[Logs] | None) -> list[Logs]:
        for actor, own in zip(self._actors, logs or (), strict=logs is not None):
            actor.restore(own)
        return [actor.logs() for actor in self._actors]

    def ask(self, request: Request, weights: Weights) -> None:
        self._asked[request.actor].put((request, weights))

    def next(self) -> tuple[int, Chunk]:
        number, found = self._done.get()
        if isinstance(found, BaseException):
            raise found
        return number, found

    def close(self) -> None:
        for asked in self._asked:
            # What is still asked for is not needed any more.
            with contextlib.suppress(queue.Empty):
                while True:
                    asked.get_nowait()
            asked.put(None)
        for thread in self._threads:
            thread.join()
        for actor in self._actors:
            actor.close()
        self._stack.close()
