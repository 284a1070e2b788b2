"""The remote source: one run's environments in several actors, the same bits as in one process."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.cpu import cpu_model
from frankrl.core.errors import EnvironmentFailedError
from frankrl.core.normalisation import Scales
from frankrl.core.text import shown
from frankrl.core.types import ACTION_DTYPE, Steps
from frankrl.environments import EnvironmentLog
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.remote.actor import EpisodeState, RoundAnswer, RoundRequest
from frankrl.experience.remote.handles import Actors, Plan, Wait
from frankrl.experience.remote.replacing import ReplacedActors
from frankrl.experience.remote.together import together
from frankrl.experience.source import Collected


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
        memory: Float[np.ndarray, "env unit"] | None = None,
    ) -> None:
        """Start the actors; every environment is at the beginning of its first episode.

        Args:
            actors: where the actors are made; closed with the source.
            parts: indices of the environments of each actor, in order; together those of the run.
            plan_of: the plan of an `Actor` with these environments.
            most_restarts: how often an environment that fails is made anew.
            memory: what the network remembers at the start; None without a memory.

        Raises:
            ActorsLostError: the actors cannot be had.
            FrankError: an environment cannot be made there, or fails at its first reset.
        """
        self._restarts_left = most_restarts
        self._memory = memory
        """What the network remembers of each environment's episode after the last whole round."""
        self._asked: _Asked | None = None
        """The next round, if the actors have begun with it."""
        self._cpu = cpu_model()
        self._known_cpus = {self._cpu}
        self._actors = ReplacedActors(actors, parts, plan_of)
        try:
            found: list[list[EpisodeState]] = self._actors.answers(self._asking("states"))
        except BaseException:
            self.close()
            raise
        self._running = [_Running(state) for states in found for state in states]

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Take every actor's part of a round, after asking for it unless `look_ahead` has."""
        asked, self._asked = self._asked, None
        if asked is None:
            asked = self._ask(policy, env_steps)
        assert asked.env_steps == env_steps, "the actors have begun with another round"

        answers: list[RoundAnswer] = self._actors.answers(asked.ask, asked.waits, self._state_of)
        collected = together(self._actors.parts, [answer.collected for answer in answers])
        if len(collected.failed) > self._restarts_left:
            raise EnvironmentFailedError(collected.failed[self._restarts_left].reason)
        self._restarts_left -= len(collected.failed)
        assert collected.steps is not None, "actors act"
        self._follow(collected.steps, [state for answer in answers for state in answer.states])
        reasons = self._not_exact_because({answer.cpu for answer in answers})
        return collected._replace(not_exact_because=reasons)

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Ask for the next round, so that the actors step while the learner learns."""
        assert self._asked is None, "the actors have begun with a round"
        self._asked = self._ask(policy, env_steps)

    def snapshot(self) -> list[EnvironmentLog]:
        """See `Restorable.snapshot`."""
        return [running.log() for running in self._running]

    def digests(self) -> list[bytes]:
        """See `Restorable.digests`."""
        return [running.state.digest for running in self._running]

    def scales(self) -> Scales | None:
        """See `Source.scales`."""
        return None

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """See `Restorable.statistics`."""
        return None, np.zeros(len(self._running))

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Any = (),
    ) -> None:
        """There are none: `check_can_be_remote` refuses runs that normalise."""

    def memory(self) -> Float[np.ndarray, "env unit"] | None:
        """See `Restorable.memory`."""
        return self._memory

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """See `Restorable.restore_memory`."""
        if memory is None:
            return
        memory = memory.copy()
        memory[list(begun)] = 0
        self._memory = memory

        def ask(index: int) -> Wait:
            return self._actors.ask(index, "restore_memory", self._memory_of(index))

        self._actors.answers(ask, state_of=self._state_of)

    def allow_restarts(self, most: int) -> None:
        """See `Restorable.allow_restarts`."""
        self._restarts_left = most

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """See `Restorable.restore`."""
        self._asked = None

        def ask(index: int) -> Wait:
            logs = self._of(index, snapshot)
            restored = self._actors.ask(index, "restore", logs, self._memory_of(index))
            states = self._actors.ask(index, "states")
            return lambda: (restored(), states())

        found: list[tuple[list[int], list[EpisodeState]]] = self._actors.answers(ask)
        different = [index for each, _ in found for index in each]
        states = [state for _, each in found for state in each]
        self._running = [
            _Running(state, () if index in different else snapshot[index].actions.tolist())
            for index, state in enumerate(states)
        ]
        return different

    def close(self) -> None:
        """See `Restorable.close`."""
        self._actors.close()

    def _of(self, index: int, each: list[Any]) -> list[Any]:
        """What belongs to the environments of one actor."""
        part = self._actors.parts[index]
        return each[part.start : part.stop]

    def _memory_of(self, index: int) -> Float[np.ndarray, "env unit"] | None:
        part = self._actors.parts[index]
        return None if self._memory is None else self._memory[part.start : part.stop]

    def _state_of(self, index: int) -> tuple[Any, ...]:
        """Where the environments of one actor stand after the last whole round."""
        logs = [running.log() for running in self._of(index, self._running)]
        return logs, self._memory_of(index)

    def _asking(self, method: str, *arguments: Any) -> Callable[[int], Wait]:
        return lambda index: self._actors.ask(index, method, *arguments)

    def _ask(self, policy: Policy, env_steps: int) -> _Asked:
        params = self._actors.shared(policy.vector)
        ask = self._asking("collect", params, RoundRequest(env_steps, self._restarts_left))
        waits = [ask(index) for index in range(len(self._actors.parts))]
        return _Asked(env_steps, ask, waits)

    def _not_exact_because(self, cpus: set[str]) -> tuple[str, ...]:
        """Why the round may have other bits than this machine's; told once of each processor."""
        new = cpus - self._known_cpus
        self._known_cpus |= new
        return tuple(
            f"an actor acts on {shown(cpu)}, and the learner is on {self._cpu}"
            for cpu in sorted(new)
        )

    def _follow(self, steps: Steps, states: list[EpisodeState]) -> None:
        """Follow what the environments did in a round."""
        if steps.memory is not None:
            self._memory = steps.memory[-len(states) :]
        taken = steps.action.reshape(-1, len(states)).T.tolist()
        for running, state, actions in zip(self._running, states, taken, strict=True):
            running.follow(state, actions)
