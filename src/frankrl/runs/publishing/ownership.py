"""The right to write a published run."""

import threading
import time
from collections.abc import Mapping
from typing import Any

from frankrl.core.errors import DamagedError, StorageError, SupersededError
from frankrl.runs.description import RunDescription
from frankrl.runs.publishing.log import BAR, FOLDER, End, Log, name_of
from frankrl.runs.publishing.records import (
    CLAIM,
    MAX_RECORD_BYTES,
    Claim,
    Owner,
    Record,
    Saved,
    claim_content,
    encoded,
)
from frankrl.runs.publishing.storage import Storage

_MAX_TRIES, _RETRY_SECONDS = 20, 0.1


class Ownership:
    """The right of this process to write a published run, until another one has claimed it."""

    def __init__(self, log: Log, claim: Claim) -> None:
        self.log = log
        self.claim = claim
        self._last = claim.number
        self._lock = threading.RLock()
        """The thread that publishes and the one that renews the lease both look at the log."""

    @property
    def fence(self) -> int:
        """The fencing number."""
        return self.claim.fence

    @classmethod
    def claimed(
        cls,
        log: Log,
        head: Record | None,
        last: int,
        description: RunDescription,
        lease_seconds: float,
    ) -> "Ownership | None":
        """Claim the run; None if another process has written a record in the meantime.

        Args:
            log: its log.
            head: the newest whole record, from which the decision to claim was made.
            last: number of the newest file of the log.
            description: the run.
            lease_seconds: how long the lease holds without being renewed.

        Raises:
            StorageError: the storage cannot be reached.
        """
        content = claim_content(Owner.this_process(), lease_seconds, description)
        for _ in range(_MAX_TRIES):
            end = log.end(last)
            last = end.last + 1
            if _hash(end.head) != _hash(head):
                return None
            if end.is_open:
                log.storage.create(name_of(last), BAR)
                continue
            if not _created(log.storage, last, encoded(CLAIM, last, head, content)):
                return None
            end = log.end(last)
            if not isinstance(end.head, Claim) or end.head.number != last:
                return None
            if end.last == last:
                return cls(log, end.head)
            # It may have been passed over while it was only a part of a record.
            head, last = end.head, end.last
        return None

    def append(self, kind: str, content: Mapping[str, Any]) -> Saved:
        """Add a record to the history.

        Args:
            kind: its kind.
            content: what it holds.

        Raises:
            SupersededError: another process has claimed the run.
            StorageError: the storage cannot be reached.
        """
        with self._lock:
            for _ in range(_MAX_TRIES):
                end = self._look()
                number = end.last + 1
                if end.is_open:
                    self.log.storage.create(name_of(number), BAR)
                    continue
                record = encoded(kind, self.fence, end.head, content)
                if not _created(self.log.storage, number, record):
                    # Another process writes it, or it is there and cannot be seen yet.
                    time.sleep(_RETRY_SECONDS)
                    continue
                end = self._look()
                if end.last == number and isinstance(end.head, Saved):
                    return end.head
        raise StorageError(
            f"{self.log.storage.address}/{name_of(self._last + 1)} cannot be written: other "
            "processes write there, or it is there and cannot be read"
        )

    def check(self) -> None:
        """Look at what others have written since.

        Raises:
            DamagedError: the log has lost the claim of this process.
            SupersededError: another process has claimed the run.
            StorageError: the storage cannot be reached.
        """
        with self._lock:
            self._look()

    def _look(self) -> End:
        end = self.log.end(self._last)
        if end.head is not None and end.head.fence > self.fence:
            raise self._superseded(end.head)
        if end.head is None or end.head.fence < self.fence:
            raise DamagedError(
                f"{self.log.storage.address}/{FOLDER} is damaged: it has lost the claim of this "
                f"process, {name_of(self.fence)}"
            )
        self._last = end.last
        return end

    def _superseded(self, head: Record) -> SupersededError:
        claim = self.log.claim_of(head)
        return SupersededError(
            f"{self.log.storage.address} was taken over by {claim.owner} with fencing number "
            f"{claim.fence}, since the lease of this one ({self.claim.owner}, number {self.fence}) "
            "had expired; the run goes on there, and this process publishes nothing more"
        )


def _hash(record: Record | None) -> str:
    return "" if record is None else record.sha256


def _created(storage: Storage, number: int, content: bytes) -> bool:
    """Whether a record is in the log now; if the answer to an attempt was lost, it is, too."""
    name = name_of(number)
    return storage.create(name, content) or storage.read(name, MAX_RECORD_BYTES) == content
