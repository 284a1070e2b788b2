"""Actors in this process, whose death a test can order."""

from collections.abc import Callable
from typing import Any

from frankrl.experience.remote import ActorLostError, Served, taken


class ActorHere:
    """An actor that does at once what it is asked for, unless it has died."""

    def __init__(self, actors: "ActorsHere", plan: Any, number: int) -> None:
        self._actors, self.part, self.number = actors, plan.part, number
        self._actor = Served(plan)
        self.has_died = False

    def ask(self, method: str, *arguments: Any) -> Callable[[], Any]:
        self._actors.requests.append((self.number, method))
        if not self.has_died and self._actors.dies(self.number, method, arguments):
            self.has_died = True
        if self.has_died:
            return self._lost
        answer = self._actor.call(method, *arguments)
        return lambda: self._lost() if self.has_died else taken(answer)

    def close(self) -> None:
        self._actor.call("close")

    def _lost(self) -> Any:
        raise ActorLostError("it was ordered to die")


class ActorsHere:
    """Makes actors in this process."""

    def __init__(
        self,
        dies: Callable[[int, str, tuple], bool] = lambda *_: False,
        starts: Callable[[int], bool] = lambda number: True,
    ) -> None:
        """`dies(number, method, arguments)` decides whether the actor that was started as this
        number dies before it answers, and `starts(number)` whether this try to start one works."""
        self.dies = dies
        self._starts, self.tries = starts, 0
        self.started: list[ActorHere] = []
        self.requests: list[tuple[int, str]] = []
        self.num_shared = 0

    def shared(self, value: Any) -> Any:
        self.num_shared += 1
        return value

    def start(self, plan: Any) -> ActorHere:
        self.tries += 1
        if not self._starts(self.tries - 1):
            raise ActorLostError("no process can be started")
        self.started.append(ActorHere(self, plan, len(self.started)))
        return self.started[-1]

    def close(self) -> None:
        pass
