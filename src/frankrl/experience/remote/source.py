"""The remote source: one run's environments in several actors, the same bits as in one process."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.errors import (
    ActorsLostError,
    EnvironmentFailedError,
    SettingError,
)
from frankrl.core.normalisation import Scales
from frankrl.core.types import ACTION_DTYPE, Steps
from frankrl.environments import (
    EnvironmentLog,
    EnvironmentSpec,
    objects_among,
    spec_fingerprint,
)
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.remote.actor import (
    ActorPlan,
    EpisodeState,
    Restored,
    RoundAnswer,
    RoundRequest,
    in_words,
)
from frankrl.experience.remote.handles import ActorHandle, ActorLostError, Actors, Wait
from frankrl.experience.remote.together import parts_of, together
from frankrl.experience.source import Collected
from frankrl.networks import QNetwork

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
        settings: Settings,
        spec: EnvironmentSpec,
        network: QNetwork,
        seed: int,
        actors: Actors,
        num_actors: int,
    ) -> None:
        """Start the actors; every environment is at the beginning of its first episode.

        Args:
            settings: the run's settings.
            spec: the environment.
            network: the Q-network.
            seed: the run's seed.
            actors: where the actors are made; closed with the source.
            num_actors: number of actors.

        Raises:
            SettingError: such a run cannot be spread over actors.
            ActorsLostError: the actors cannot be had.
            FrankError: an environment cannot be made there, or fails at its first reset.
        """
        check_can_be_remote(settings, spec, num_actors)
        self._actors = actors
        self._parts = parts_of(settings.environment.num_envs, num_actors)
        self._plans = [
            ActorPlan(spec.env_id, settings, network, seed, spec_fingerprint(spec), part)
            for part in self._parts
        ]
        self._restarts_left = settings.environment.restart_failed_envs
        self._asked: _Asked | None = None
        """The next round, if the actors have begun with it."""
        self._handles: list[ActorHandle | None] = [None] * num_actors
        try:
            for index in range(num_actors):
                self._start(index)
            states = self._answers(self._asking("states"))
        except BaseException:
            self.close()
            raise
        self._running = [_Running(state) for own in states for state in own]

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """Take every actor's part of a round, after asking for it unless `look_ahead` has."""
        asked, self._asked = self._asked, None
        if asked is None or asked.env_steps != env_steps:
            asked = self._ask(policy, env_steps)

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
        return collected

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Ask for the next round, so that the actors step while the learner learns."""
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

        found: list[Restored] = self._answers(ask)
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

    def _check_restored(self, restored: Restored) -> None:
        if restored.different:
            raise ActorsLostError(
                "an actor was lost, and in the one that takes its place environment "
                f"{restored.different[0]} did not replay to the same bits"
            )

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


def check_can_be_remote(settings: Settings, spec: EnvironmentSpec, num_actors: int) -> None:
    """Refuse a run that cannot be spread over actors to the same bits.

    Args:
        settings: the run's settings.
        spec: the environment.
        num_actors: number of actors.

    Raises:
        SettingError: it cannot.
    """
    environment, num_envs = settings.environment, settings.environment.num_envs
    if not 1 <= num_actors <= num_envs:
        raise SettingError(
            f"actors must be from 1 to num_envs ({num_envs:,}), since each has environments of its "
            f"own, got {num_actors:,}: give fewer actors or more num_envs"
        )
    for name in ("normalize_observations", "normalize_rewards"):
        if getattr(environment, name):
            raise SettingError(
                f"{name} cannot be had with actors: its statistics are of all environments after "
                "each step; leave out actors, or set it to false"
            )
    if settings.evaluation.evaluation_on == "training":
        raise SettingError(
            "evaluation_on training cannot be had with actors, which have the training "
            "environments; leave out actors, or set it to own"
        )
    if objects := objects_among(spec.env_id, spec.wrappers):
        raise SettingError(
            f"{', '.join(objects)} cannot be had with actors: another process can only make what a "
            "module defines; move it into a module, or leave out actors"
        )
