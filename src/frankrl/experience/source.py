"""Sources of experience: what training needs of them.

A run has a clock (`frankrl.config.Clock`): it counts env steps, or updates where nobody acts. What
it has counted is called `ticks` wherever it may be either of the two, as here, where the source may
be a data set. A source that steps environments calls the same number `env_steps`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from frankrl.core.normalisation import Scales
from frankrl.core.types import Arrival, FailedEpisode, FinalInfo, FinishedEpisode, Steps
from frankrl.environments import EnvironmentLog
from frankrl.experience.actors_state import ActorsState
from frankrl.experience.normaliser import Statistics
from frankrl.experience.policy import Policy


class Collected(NamedTuple):
    """The experience of one round."""

    steps: Steps | None
    """None: nothing was collected, and what the run learns from is there from the start."""
    episodes: list[FinishedEpisode]
    """Episodes that ended, in this order."""
    final_infos: dict[int, FinalInfo]
    """What the last steps of episodes gave, by the env steps of the run at their end."""
    failed: list[FailedEpisode]
    """Episodes that were dropped because their environment failed."""
    cut: list[int]
    """Environments whose episode before the round was dropped with its first step: their last step
    in the replay buffer is then the last of its episode."""
    not_exact_because: tuple[str, ...] = ()
    """Why the run may differ in its bits from here on."""
    arrival: Arrival | None = None
    """Of an actor that runs freely: what came."""


@runtime_checkable
class Restorable(Protocol):
    """Holds where the environments of a run stand, and can be restored to an earlier state."""

    def snapshot(self) -> list[EnvironmentLog]:
        """The state after the last complete round, in a form from which it can be restored."""
        ...

    def digests(self) -> list[bytes]:
        """A fingerprint of all that each environment has shown and done since the run began."""
        ...

    def restore(self, snapshot: list[EnvironmentLog]) -> list[int]:
        """Restore the state of a snapshot.

        Returns:
            Indices of the environments that could not be restored to the same bits; these have
            begun their next episode instead.
        """
        ...

    def statistics(self) -> tuple[Statistics | None, Float[np.ndarray, " env"]]:
        """The running statistics after the last complete round, and the discounted return of each
        environment's episode up to there."""
        ...

    def restore_statistics(
        self,
        statistics: Statistics | None,
        returns: Float[np.ndarray, " env"],
        begun: Sequence[int] = (),
    ) -> None:
        """Go on from the running statistics of a snapshot.

        Args:
            statistics: as `statistics` gives them.
            returns: likewise.
            begun: environments that have begun another episode than in the snapshot.
        """
        ...

    def memory(self) -> Float[np.ndarray, "env unit"] | None:
        """What the network remembers of each environment's episode after the last complete round;
        None without a memory."""
        ...

    def restore_memory(
        self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int] = ()
    ) -> None:
        """Go on from the memory of a snapshot.

        Args:
            memory: as `memory` gives it.
            begun: environments that have begun another episode than in the snapshot.
        """
        ...

    def allow_restarts(self, most: int) -> None:
        """Say how often an environment that fails is still made anew; then its error is raised."""
        ...

    def close(self) -> None:
        """Close the source."""
        ...


@runtime_checkable
class HasFreeActors(Protocol):
    """Has actors that run freely, which a checkpoint must hold more of than their environments."""

    def actors_state(self) -> ActorsState:
        """What a checkpoint holds of the actors besides the snapshots of their environments."""
        ...

    def stand_at(self, actors: ActorsState, updates_due: Callable[[int], int]) -> None:
        """Go on from a checkpoint; `Restorable.restore` gets its snapshots.

        Args:
            actors: as `actors_state` gives it.
            updates_due: updates of the run that are due after so many env steps, with a buffer that
                may have begun at the checkpoint.
        """
        ...


@runtime_checkable
class Source(Restorable, Protocol):
    """Collects experience round by round."""

    def collect(self, policy: Policy, ticks: int, /) -> Collected:
        """Collect a round of steps.

        Args:
            policy: acts; its parameters are loaded.
            ticks: of the run's clock before the round.
        """
        ...

    def look_ahead(self, policy: Policy, ticks: int, /) -> None:
        """Let the policy begin with the first actions of the next round.

        On a GPU they are then computed before the updates that are started next, and the
        environments are stepped meanwhile. It changes no action.

        Args:
            policy: has the parameters of the next round.
            ticks: of the run's clock before that round.
        """
        ...

    def scales(self) -> Scales | None:
        """How observations and rewards are normalised after the last step; None: they are not."""
        ...
