"""How often the processes of runs have died, and when that is too often."""

from pathlib import Path
from typing import Any

from frankrl.core.errors import FrankError

MAX_DEATHS = 3
"""Times that a run may break off without having written another checkpoint."""


class Deaths:
    """Counts how often runs have broken off since their newest checkpoint was written."""

    def __init__(self) -> None:
        self._counts: dict[Path, tuple[Any, int]] = {}
        """By run: its newest checkpoint at the last time, and how often since it was written."""

    def count(self, run: Path, newest: Any, why: str) -> None:
        """Count that a run has broken off.

        Args:
            run: its folder.
            newest: by what its newest checkpoint is known.
            why: why it broke off, and perhaps what to do, for a sentence.

        Raises:
            FrankError: it has happened too often.
        """
        before, times = self._counts.get(run, (newest, 0))
        times = times + 1 if before == newest else 1
        self._counts[run] = (newest, times)
        if times >= MAX_DEATHS:
            raise FrankError(
                f"the run {run} has broken off {times} times without writing a checkpoint: {why}; "
                "what is done is saved"
            )
