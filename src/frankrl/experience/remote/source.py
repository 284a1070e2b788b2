"""The remote source: one run's environments in several actors, the same bits as in one process."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.cpu import cpu_model
from frankrl.core.errors import ActorsLostError, EnvironmentFailedError
from frankrl.core.normalisation import Scales
from frankrl.core.types import ACTION_DTYPE, Steps
from frankrl.environments import EnvironmentLog
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.remote.actor import (
    ActorState,
    EpisodeState,
    RoundAnswer,
    RoundRequest,
    in_words,
)
from frankrl.experience.remote.handles import ActorHandle, ActorLostError, Actors, Plan, Wait
from frankrl.experience.remote.together import together
from frankrl.experience.source import Collected

_MAX_REPLACEMENTS = 3
"""Actors that are tried in the place of one for a single answer."""


class _Asked(NamedTuple):
    """A round that the actors have been asked for."""

    env_steps: int
    ask: Callable[[int], Wait]
    """Asks one actor."""
    waits: list[Wait]


class _Running:
    """The running episode of an environment, as its actor's answers tell it."""

    def __init__(self, state: EpisodeState, actions: Iterable[int] = ()) -> None:
        self.state = state
        self.actions = list(actions)

    def follow(self, state: EpisodeState, actions: list[int]) -> None:
        """Take the state after a round, and the actions of the round."""
        if state.episode == self.state.episode:
            self.actions += actions
        else:
            self.actions = actions[len(actions) - state.num_actions :]
        self.state = state

    def log(self) -> EnvironmentLog:
        actions = np.asarray(self.actions, ACTION_DTYPE)
        return EnvironmentLog(self.state.episode, actions, self.state.earlier, self.state.digest)


class RemoteSource:
    """Has actors step the environments of a run, and takes their answers in the actors' order.

    It follows what they do, so a lost actor is replaced by one that is restored to the beginning of
    the round, and asked again.
    """

    def __init__(
        self,
        actors: Actors,
        parts: Sequence[range],
        plan_of: Callable[[range], Plan],
        most_restarts: int = 0,
    ) -> None:
        """Start the actors; every environment is at the beginning of its first episode.

        Args:
            actors: where the actors are made; closed with the source.
            parts: indices of the environments of each actor, in order; together those of the run.
            plan_of: the plan of an `Actor` with these environments.
            most_restarts: how often an environment that fails is made anew.

        Raises:
            ActorsLostError: the actors cannot be had.
            FrankError: an environment cannot be made there, or fails at its first reset.
        """
        self._actors, self._parts = actors, parts
        self._plans = [plan_of(part) for part in parts]
        self._restarts_left = most_restarts
        self._asked: _Asked | None = None
        """The next round, if the actors have begun with it."""
        self._not_exact: dict[str, None] = {}
        """Why the run may differ in its bits, as far as no round has told it."""
        self._handles: list[ActorHandle | None] = [None] * len(parts)
        try:
            for index in range(len(parts)):
                self._start(index)
            found = self._answers(self._asking("state"))
        except BaseException:
            self.close()
            raise
        self._running = [_Running(state) for each in found for state in each.states]
        self._note_processors(found)

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Take every actor's part of a round, after asking for it unless `look_ahead` has."""
        asked, self._asked = self._asked, None
        if asked is None:
            asked = self._ask(policy, env_steps)
        assert asked.env_steps == env_steps, "the actors have begun with another round"

        def again(index: int) -> Wait:
            restored = self._ask_to_restore(index)
            collected = asked.ask(index)
            return lambda: (self._check_restored(restored()), collected())[1]

        answers: list[RoundAnswer] = self._answers(again, asked.waits)
        collected = together(self._parts, [answer.collected for answer in answers])
        if len(collected.failed) > self._restarts_left:
            raise EnvironmentFailedError(collected.failed[self._restarts_left].reason)
        self._restarts_left -= len(collected.failed)
        self._follow(collected.steps, [state for answer in answers for state in answer.states])
        reasons, self._not_exact = tuple(self._not_exact), {}
        return collected._replace(not_exact_because=reasons)

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Ask for the next round, so that the actors step while the learner learns."""
        assert self._asked is None, "the actors have begun with a round"
        self._asked = self._ask(policy, env_steps)

    def snapshot(self) -> list[EnvironmentLog]:
        return [running.log() for running in self._running]

    def digests(self) -> list[bytes]:
        return [running.state.digest for running in self._running]

    def scales(self) -> Scales | None:
        return None

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        return None, np.zeros(len(self._running))

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Any = (),
    ) -> None:
        """There are none: `check_can_be_remote` refuses runs that normalise."""

    def allow_restarts(self, most: int) -> None:
        self._restarts_left = most

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        self._asked = None

        def ask(index: int) -> Wait:
            return self._handle(index).ask("restore", self._of(index, snapshot))

        found: list[ActorState] = self._answers(ask)
        different = [index for each in found for index in each.different]
        states = [state for each in found for state in each.states]
        self._running = [
            _Running(state, () if index in different else snapshot[index].actions.tolist())
            for index, state in enumerate(states)
        ]
        return different

    def close(self) -> None:
        for handle in self._handles:
            if handle is not None:
                handle.close()
        self._handles = [None] * len(self._handles)
        self._actors.close()

    def _start(self, index: int) -> None:
        self._handles[index] = self._actors.start(self._plans[index])

    def _handle(self, index: int) -> ActorHandle:
        handle = self._handles[index]
        assert handle is not None
        return handle

    def _of(self, index: int, each: list[Any]) -> list[Any]:
        """What belongs to the environments of one actor."""
        part = self._parts[index]
        return each[part.start : part.stop]

    def _asking(self, method: str, *arguments: Any) -> Callable[[int], Wait]:
        return lambda index: self._handle(index).ask(method, *arguments)

    def _ask(self, policy: Policy, env_steps: int) -> _Asked:
        params = self._actors.shared(policy.vector)
        ask = self._asking("collect", params, RoundRequest(env_steps, self._restarts_left))
        return _Asked(env_steps, ask, [ask(index) for index in range(len(self._parts))])

    def _ask_to_restore(self, index: int) -> Wait:
        logs = [running.log() for running in self._of(index, self._running)]
        return self._handle(index).ask("restore", logs)

    def _check_restored(self, restored: ActorState) -> None:
        self._note_processors([restored])
        if restored.different:
            raise ActorsLostError(
                "an actor was lost, and in the one that takes its place environment "
                f"{restored.different[0]} did not replay to the same bits"
            )

    def _note_processors(self, found: Iterable[ActorState]) -> None:
        """Note the processors that may compute other bits than this machine's."""
        ours = cpu_model()
        for theirs in {each.cpu for each in found} - {ours}:
            self._not_exact[f"an actor acts on {theirs}, and the learner is on {ours}"] = None

    def _answers(self, again: Callable[[int], Wait], waits: list[Wait] | None = None) -> list[Any]:
        """The answers of all actors; lost ones are replaced and asked again.

        Args:
            again: asks an actor that has just been started, with each environment at the beginning
                of its first episode.
            waits: for the actors, who have been asked; None: they are asked likewise.

        Raises:
            ActorsLostError: an actor was lost, and so were those in its place.
            FrankError: an actor refused.
        """
        count = len(self._parts)
        waits = [again(index) for index in range(count)] if waits is None else waits
        found: dict[int, Any] = {}
        for replaced in range(_MAX_REPLACEMENTS + 1):
            lost: dict[int, ActorLostError] = {}
            for index in range(count):
                if index not in found:
                    try:
                        found[index] = waits[index]()
                    except ActorLostError as error:
                        lost[index] = error
            if not lost:
                break
            if replaced == _MAX_REPLACEMENTS:
                index, error = next(iter(lost.items()))
                raise ActorsLostError(
                    f"the actor with the environments {in_words(self._parts[index])} was lost, and "
                    f"so were {_MAX_REPLACEMENTS} in its place: {error}"
                )
            for index in lost:
                self._handle(index).close()
                self._start(index)
                waits[index] = again(index)
        return [found[index] for index in range(count)]

    def _follow(self, steps: Steps, states: list[EpisodeState]) -> None:
        """Follow what the environments did in a round."""
        taken = steps.action.reshape(-1, len(states)).T.tolist()
        for running, state, actions in zip(self._running, states, taken, strict=True):
            running.follow(state, actions)
