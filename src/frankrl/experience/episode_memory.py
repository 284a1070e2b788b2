"""What a network remembers of the episodes that a source's environments are in."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from frankrl.core.types import FailedEpisode, FinishedEpisode


class EpisodeMemory:
    """Keeps the memory of each environment's running episode; zeros where an episode begins."""

    def __init__(self, memory: Float[np.ndarray, "env unit"] | None) -> None:
        """Remember nothing yet.

        Args:
            memory: at the start of an episode; None if the network has no memory.
        """
        self.now = memory
        """Before the next observation of each environment."""
        self.round_start = memory
        """The same where the last complete round ended."""
        self._of_round: list[Float[np.ndarray, "env unit"]] = []

    def begin(self, env_indices: Sequence[int]) -> None:
        """Begin new episodes in some environments, given by their places here."""
        if self.now is not None:
            self.now = self.now.copy()
            self.now[list(env_indices)] = 0

    def step(self, after: Float[np.ndarray, "env unit"], is_last: Bool[np.ndarray, " env"]) -> None:
        """Take what is remembered after an observation of each environment.

        Args:
            after: the memory.
            is_last: whether the step from that observation ended its episode.
        """
        assert self.now is not None, "the network has no memory"
        self._of_round.append(self.now)
        self.now = np.where(is_last[:, np.newaxis], np.float32(0), after)

    def end_round(self) -> Float[np.ndarray, "all_rows unit"] | None:
        """End a round: the memory before each of its observations, and before the next ones."""
        self.round_start, before, self._of_round = self.now, self._of_round, []
        return None if self.now is None else np.concatenate([*before, self.now])

    def restore(self, memory: Float[np.ndarray, "env unit"] | None, begun: Sequence[int]) -> None:
        """Go on from the memory at the end of a round.

        Args:
            memory: of each environment.
            begun: those that have begun another episode instead.
        """
        self.now, self._of_round = memory, []
        self.begin(begun)
        self.round_start = self.now


def acted_anew(failed: Iterable[FailedEpisode], finished: Iterable[FinishedEpisode]) -> list[int]:
    """The environments whose step failed and was taken in the next episode instead.

    In the others that failed, the step ended its episode and the next one could not begin.

    Args:
        failed: the episodes that were dropped in a step.
        finished: the episodes that ended with it.
    """
    ended = {episode.env_index: episode.episode for episode in finished}
    return [
        failure.env_index
        for failure in failed
        if failure.episode < ended.get(failure.env_index, failure.episode + 1)
    ]
