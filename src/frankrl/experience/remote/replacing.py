"""The actors of a run, of which a lost one is replaced."""

from collections.abc import Callable, Sequence
from typing import Any

from frankrl.core.errors import ActorsLostError
from frankrl.experience.remote.actor import in_words
from frankrl.experience.remote.handles import ActorHandle, ActorLostError, Actors, Plan, Wait

_MAX_REPLACEMENTS = 3
"""Actors that are tried in the place of one before there is an answer."""


class ReplacedActors:
    """One actor for each part of a run's environments; another one takes the place of a lost one.

    An actor that cannot be started counts as lost, too.
    """

    def __init__(
        self, actors: Actors, parts: Sequence[range], plan_of: Callable[[range], Plan]
    ) -> None:
        """Begin to make the actors; every environment is at the beginning of its first episode.

        Args:
            actors: where the actors are made; closed with these.
            parts: indices of the environments of each actor, in order; together those of the run.
            plan_of: the plan of an actor with these environments.
        """
        self.parts = parts
        self._actors = actors
        self._plans = [plan_of(part) for part in parts]
        self._replaced = [0] * len(parts)
        """Actors that each one has had in its place since its last answer."""
        self._handles: list[ActorHandle] = []
        try:
            for plan in self._plans:
                self._handles.append(self._started(plan))
        except BaseException:
            self.close()
            raise

    def shared(self, value: Any) -> Any:
        """As `Actors.shared`."""
        return self._actors.shared(value)

    def ask(self, index: int, method: str, *arguments: Any) -> Wait:
        """As `ActorHandle.ask`, of one of the actors."""
        return self._handles[index].ask(method, *arguments)

    def answers(
        self,
        ask: Callable[[int], Wait],
        waits: Sequence[Wait] | None = None,
        state_of: Callable[[int], tuple[Any, ...] | None] = lambda index: None,
    ) -> list[Any]:
        """The answers of all actors; lost ones are replaced and asked again.

        Args:
            ask: asks one actor.
            waits: for the actors, who have been asked; None: they are asked first.
            state_of: as in `replace`, of an actor before it was asked.

        Raises:
            ActorsLostError: as for `replace`.
            FrankError: an actor refused.
        """
        count = len(self.parts)
        left = dict(enumerate([ask(index) for index in range(count)] if waits is None else waits))
        found: dict[int, Any] = {}
        while left:
            lost: dict[int, ActorLostError] = {}
            for index, wait in left.items():
                try:
                    found[index] = wait()
                except ActorLostError as error:
                    lost[index] = error
                else:
                    self.note_answer(index)
            left = {}
            for index, error in lost.items():
                restored = self.replace(index, error, state_of(index))
                left[index] = after(restored, ask(index))
        return [found[index] for index in range(count)]

    def note_answer(self, index: int) -> None:
        """Note that an actor has given what it was asked for."""
        self._replaced[index] = 0

    def replace(
        self, index: int, lost: ActorLostError, state: tuple[Any, ...] | None = None
    ) -> Wait:
        """Start another actor in the place of a lost one.

        Args:
            index: of the actor.
            lost: what is known of its loss.
            state: where its environments stood, as arguments of its `restore`; None: at the
                beginning of their first episodes.

        Returns:
            Waits until the new one stands there, too; raises `ActorsLostError` if it cannot.

        Raises:
            ActorsLostError: others in its place were lost as well, without an answer.
        """
        part = self.parts[index]
        if self._replaced[index] == _MAX_REPLACEMENTS:
            raise ActorsLostError(
                f"the actor with the environments {in_words(part)} was lost, and so were "
                f"{_MAX_REPLACEMENTS} in its place: {lost}"
            )
        self._replaced[index] += 1
        self._handles[index].close()
        self._handles[index] = self._started(self._plans[index])
        if state is None:
            return lambda: None
        restored = self.ask(index, "restore", *state)

        def wait() -> None:
            if different := restored():
                raise ActorsLostError(
                    "an actor was lost, and in the one that takes its place environment "
                    f"{different[0]} did not replay to the same bits"
                )

        return wait

    def end(self) -> None:
        """End the actors, whatever they are doing; whoever waits for an answer gets an error."""
        handles, self._handles = self._handles, []
        for handle in handles:
            handle.close()

    def close(self) -> None:
        """End the actors, and give back what belongs to no single one."""
        self.end()
        self._actors.close()

    def _started(self, plan: Plan) -> ActorHandle:
        try:
            return self._actors.start(plan)
        except ActorLostError as error:
            return _NeverStarted(error)


class _NeverStarted:
    """In the place of an actor that could not be started."""

    def __init__(self, error: ActorLostError) -> None:
        self._error = error

    def ask(self, method: str, *arguments: Any) -> Wait:
        return self._lost

    def close(self) -> None:
        """There is nothing to end."""

    def _lost(self) -> Any:
        raise self._error


def after(first: Wait, then: Wait) -> Wait:
    """Waits for two answers of an actor, in this order; returns the second."""

    def wait() -> Any:
        first()
        return then()

    return wait
