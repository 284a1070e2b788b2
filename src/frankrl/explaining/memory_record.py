"""The sequences of an update of a network with memory, and the memory along them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from frankrl.core.errors import SettingError
from frankrl.core.wording import option


class SequencesRecord(NamedTuple):
    """The sequences of an update of a network with memory, and the memory along them.

    A row is a learned step, in the order of the sequences: the `OpenedUpdate` has its numbers. The
    axis of time holds the burn-in, then the learned steps, then n more observations.
    """

    sequence: Int[np.ndarray, " row"]
    """Which sequence of the batch each row belongs to, from 0."""
    step: Int[np.ndarray, " row"]
    """Which of its learned steps it is, from 0."""
    burn_in_steps: int
    """Position of the first learned step on the axis of time."""
    learned_steps: int
    """Learned steps of a sequence whose episode goes on."""
    is_shown: Bool[np.ndarray, "sequence time"]
    """False before the episode's start, and after the observation that its last step led to."""
    arrival: Int[np.ndarray, " row"]
    """Position of s′ on the axis of time."""
    stored_memory: Float[np.ndarray, "sequence unit"]
    """The memory before the first observation that is shown, as it was in acting."""
    memory: Float[np.ndarray, "sequence time unit"]
    """The Q-network's memory after each observation; as before it where none is shown."""
    target_memory: Float[np.ndarray, "sequence time unit"] | None
    """The target network's, likewise; None for behaviour cloning, which has none."""
    priorities: Float[np.ndarray, " sequence"] | None
    """Error of each sequence, for its new priority; None if sampling was uniform."""

    @property
    def position(self) -> Int[np.ndarray, " row"]:
        """Position of s on the axis of time."""
        return self.burn_in_steps + self.step

    @property
    def num_burn_in(self) -> Int[np.ndarray, " sequence"]:
        """Steps of the episode from which only the memory was computed."""
        return self.is_shown[:, : self.burn_in_steps].sum(axis=1)

    def rows_of(self, sequence: int) -> Int[np.ndarray, " row"]:
        """The rows of one sequence, in order of time."""
        return np.flatnonzero(self.sequence == sequence)

    def row_of(self, transition: int, sequence: int) -> int:
        """The row of a learned step of a sequence.

        Raises:
            SettingError: the sequence has no such step, because its episode ends before.
        """
        rows = self.rows_of(sequence)
        if transition >= len(rows):
            raise SettingError(
                f"{option('transition')} must be from 0 to {len(rows) - 1} in sequence {sequence}, "
                f"whose episode ends then, got {transition}"
            )
        return int(rows[transition])

    def memory_before(self, row: int) -> Float[np.ndarray, "1 unit"]:
        """The Q-network's memory before it saw the state s of a row."""
        sequence, position = self.sequence[row], self.position[row]
        if not position:
            return self.stored_memory[sequence][None]
        return self.memory[sequence, position - 1][None]
