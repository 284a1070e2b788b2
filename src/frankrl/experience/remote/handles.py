"""How actors are reached: where they are made, and how one is asked. Each transport has its own."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, FrankError

Wait = Callable[[], Any]
"""Waits for an answer and returns it; raises `ActorLostError` if there will be none, or the
`FrankError` with which the actor answered."""


class ActorLostError(Exception):
    """An actor has died or cannot be reached; its message says what is known."""


@runtime_checkable
class Plan(Protocol):
    """What an actor is made from; a record that is sent to where the actor will be."""

    def make(self) -> Any:
        """The actor."""
        ...


@runtime_checkable
class ActorHandle(Protocol):
    """One actor, somewhere."""

    def ask(self, method: str, *arguments: Any) -> Wait:
        """Have a method of the actor called; requests are answered in their order.

        Args:
            method: its name.
            arguments: records and arrays, or what `Actors.shared` returned.
        """
        ...

    def close(self) -> None:
        """End the actor, whatever it is doing; errors are ignored."""
        ...


@runtime_checkable
class Actors(Protocol):
    """Where actors are: in processes of this machine, or on the nodes of a cluster."""

    def shared(self, value: Any) -> Any:
        """A value in a form that is sent once for all actors; only as an argument of `ask`."""
        ...

    def start(self, plan: Plan) -> ActorHandle:
        """Begin to make an actor. What is wrong with its plan, its first answer tells.

        Raises:
            ActorLostError: it cannot be started.
        """
        ...

    def close(self) -> None:
        """Give back what belongs to no single actor."""
        ...


class Refusal(NamedTuple):
    """The answer in place of a `FrankError`, so that no transport has to know Frank's errors."""

    kind: str
    message: str


_KINDS = (EnvironmentFailedError, EnvironmentUnusableError)
"""Errors after which a run is saved, told apart from others."""


def answered(call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call returns, or a `Refusal`; used where the actor is."""
    try:
        return call(*arguments)
    except FrankError as error:
        return Refusal(type(error).__name__, str(error))


class Served:
    """An actor where it is: made from its plan, and asked by the names of its methods."""

    def __init__(self, plan: Plan) -> None:
        self._actor = answered(plan.make)

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method returns, or a `Refusal`; always one if the actor could not be made."""
        if isinstance(self._actor, Refusal):
            return self._actor
        return answered(getattr(self._actor, method), *arguments)


def taken(answer: Any) -> Any:
    """An answer; used where it was asked for.

    Raises:
        FrankError: the actor refused.
    """
    if isinstance(answer, Refusal):
        kinds = {kind.__name__: kind for kind in _KINDS}
        raise kinds.get(answer.kind, FrankError)(answer.message)
    return answer
