"""What shared storage says of a run that a task of the cluster does.

Ray may not notice for minutes that a process no longer answers, or that its answer was lost: where
a machine is frozen or its link is cut, the connection stays open. The run's lease tells sooner.
"""

import os
from typing import Literal

from frankrl.core.errors import StorageError
from frankrl.runs.publishing import FINISHED, LeaseWatch, Log, open_storage

RunState = Literal["not begun", "under way", "finished", "lost"]


class RunWatch:
    """Watches the published run of one task."""

    def __init__(self, address: str | os.PathLike[str]) -> None:
        """Open the storage.

        Raises:
            FrankError: it cannot be opened.
        """
        self._log = Log(open_storage(address))
        self._watch = LeaseWatch(self._log, by_time=False)
        self._fence = 0

    def begin(self) -> str:
        """Note that a task is about to begin; what earlier ones have written is not its own.

        Returns:
            The CPU model on which the run was written last; empty if it is new.

        Raises:
            FrankError: the storage cannot be read.
        """
        head, _ = self._log.head()
        self._fence = 0 if head is None else head.fence
        return "" if head is None else self._log.claim_of(head).owner.cpu

    def state(self, now: float) -> RunState:
        """How the run stands.

        Args:
            now: a clock that only goes forward, read just now. [s]

        Returns:
            `finished`; `not begun`: the task has not claimed the run; `lost`: the lease of the
            process that the task has begun is expired; else `under way`, also if the storage cannot
            be reached at the moment.

        Raises:
            DamagedError: a record is damaged.
        """
        try:
            head, _ = self._log.head()
            if head is not None and head.kind == FINISHED:
                return "finished"
            if head is None or head.fence <= self._fence:
                return "not begun"
            expired = self._watch.is_expired(self._log.claim_of(head), now)
        except StorageError:
            return "under way"
        return "lost" if expired else "under way"

    @property
    def env_steps(self) -> int:
        """Of the newest published checkpoint; 0 if there is none."""
        saved = self._log.newest_saved()
        return 0 if saved is None else saved.env_steps
