"""Actors in this process whose chunks arrive in an order that a test has written."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from actors_here import ActorHere, ActorsHere

from frankrl.experience import REQUESTS_AHEAD


def random_order(count: int, seed: int) -> Iterator[int]:
    """Numbers of actors, without end: some are much faster than others, and by turns."""
    random = np.random.default_rng(seed)
    while True:
        share = random.dirichlet(np.full(count, 0.5))
        yield from random.choice(count, size=7, p=share).tolist()


class ActorsInTurn(ActorsHere):
    """An answer waits until it is its actor's turn.

    A turn is over when its actor is asked for a chunk more than it may have under way: then the
    learner has taken the one before.
    """

    def __init__(self, order: Iterator[int]) -> None:
        super().__init__()
        self.order: list[int] = []
        self._endless = order
        self._taken = 0
        self._asked: dict[int, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def start(self, plan: Any) -> "ActorInTurn":
        self.started.append(ActorInTurn(self, plan, len(self.started)))
        return self.started[-1]

    def turn(self, actor: int, number: int) -> None:
        """Wait until it is time for this chunk of an actor."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._place(actor, number) <= self._taken
            )

    def _place(self, actor: int, number: int) -> int:
        while self.order.count(actor) <= number:
            self.order += itertools.islice(self._endless, 50)
        places = (place for place, each in enumerate(self.order) if each == actor)
        return next(itertools.islice(places, number, None))

    def note(self, actor: int) -> int:
        """Count a request for a chunk; returns its number."""
        with self._changed:
            number = self._asked.get(actor, 0)
            self._asked[actor] = number + 1
            self._taken += number >= REQUESTS_AHEAD
            self._changed.notify_all()
        return number

    def stop(self) -> None:
        """Let all that is still waited for end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class ActorInTurn(ActorHere):
    def ask(self, method: str, *arguments: Any) -> Callable[[], Any]:
        answer = super().ask(method, *arguments)
        actors = self._actors
        assert isinstance(actors, ActorsInTurn)
        if method != "collect":
            return answer
        actor = self.part.start // len(self.part)
        number = actors.note(actor)

        def wait() -> Any:
            actors.turn(actor, number)
            return answer()

        return wait

    def close(self) -> None:
        super().close()
        assert isinstance(self._actors, ActorsInTurn)
        self._actors.stop()


def arrived(order: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Actor and number of the first chunks in this order."""
    seen: dict[int, int] = {}
    found = []
    for actor in order[:count]:
        found.append((actor, seen.get(actor, 0)))
        seen[actor] = seen.get(actor, 0) + 1
    return found
