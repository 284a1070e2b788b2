"""The source of actors that run freely: each chunk is a round.

Source: Horgan et al. (2018), Ape-X. https://arxiv.org/abs/1803.00933
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from frankrl.config import Settings
from frankrl.core.cpu import cpu_model
from frankrl.core.text import shown
from frankrl.core.types import Arrival, FinalInfo, Steps
from frankrl.environments import EnvironmentLog
from frankrl.experience.actors_state import ActorsState, Weights
from frankrl.experience.asynchronous_feed import Feed
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy
from frankrl.experience.source import Collected


class AsynchronousSource:
    """Gives the chunks of actors that run freely as rounds, one chunk each."""

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        updates_due: Callable[[int], int],
    ) -> None:
        """Take over the actors of a run.

        Args:
            settings: the run's settings.
            feed: gives their chunks; closed with the source.
            updates_due: updates of the run that are due after so many env steps.

        Raises:
            FrankError: the actors cannot be had; or an environment cannot be made there, or fails.
        """
        self._settings, self._feed, self._updates_due = settings, feed, updates_due
        self._size = settings.round_envs
        self._known_cpus = {cpu_model()}
        try:
            self._logs = [log for own in feed.begin(None) for log in own]
        except BaseException:
            feed.close()
            raise
        self._chunks = [0] * (settings.environment.num_envs // self._size)

    def collect(self, policy: Policy, env_steps: int) -> Collected:
        """The next chunk that arrives, of whatever actor.

        Args:
            policy: has the newest weights that actors can be given: those before the updates of
                the round before.
            env_steps: env steps of the run before the round.
        """
        after = env_steps + self._settings.round_ticks
        updates = self._updates_due(env_steps - self._settings.round_ticks)
        # A copy, because a policy may use its memory again.
        newest = Weights(updates, policy.vector.copy())
        request, chunk = self._feed.next(after, newest)
        own = request.actor * self._size
        self._logs[own : own + self._size] = chunk.logs
        self._chunks[request.actor] = request.chunk + 1
        final_infos: dict[int, FinalInfo] = {
            env_steps + at: info for at, info in chunk.final_infos.items()
        }
        steps: Steps = chunk.steps
        episodes = [e._replace(env_steps=env_steps + e.env_steps) for e in chunk.episodes]
        arrival = Arrival(after, request.actor, request.chunk, request.updates)
        reasons = self._not_exact_because(request.actor, chunk.cpu)
        return Collected(steps, episodes, final_infos, [], [], reasons, arrival)

    def _not_exact_because(self, actor: int, cpu: str) -> tuple[str, ...]:
        """Why a chunk may not repeat here; told once of each model of a processor."""
        if cpu in self._known_cpus:
            return ()
        self._known_cpus.add(cpu)
        return (f"actor {actor} computes on {shown(cpu)}, and the learner on {cpu_model()}",)

    def look_ahead(self, policy: Policy, env_steps: int) -> None:
        """Nothing: actors never wait for the learner."""

    def snapshot(self) -> list[EnvironmentLog]:
        """See `Restorable.snapshot`."""
        return list(self._logs)

    def digests(self) -> list[bytes]:
        """See `Restorable.digests`."""
        return [log.digest for log in self._logs]

    def scales(self) -> None:
        """Nothing is normalised, because no actor sees what the others do."""

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """No statistics, and returns of 0."""
        return None, np.zeros(self._settings.environment.num_envs)

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """Nothing: there are none."""

    def memory(self) -> None:
        """Nothing is remembered: such actors are refused with a memory."""

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """Nothing: there is none."""

    def actors_state(self) -> ActorsState:
        """See `HasFreeActors.actors_state`."""
        return ActorsState(tuple(self._chunks), tuple(self._feed.under_way()))

    def stand_at(self, actors: ActorsState, updates_due: Callable[[int], int]) -> None:
        """See `HasFreeActors.stand_at`."""
        self._chunks, self._updates_due = list(actors.chunks), updates_due
        self._feed.stand_at(actors)

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """See `Restorable.restore`."""
        size = self._size
        own = [snapshot[at : at + size] for at in range(0, len(snapshot), size)]
        self._logs = [log for logs in self._feed.begin(own) for log in logs]
        pairs = enumerate(zip(self._logs, snapshot, strict=True))
        return [index for index, (now, then) in pairs if now.digest != then.digest]

    def allow_restarts(self, most: int) -> None:
        """Nothing: no environment is made anew."""

    def close(self) -> None:
        """See `Restorable.close`."""
        self._feed.close()
