"""The history of a published run: numbered records, each created exclusively.

Of all processes that try to write record n + 1, the storage lets one succeed, and each record names
the one that it follows. So there is one history, whatever clocks, networks and schedulers do: it is
the newest whole record and those before it, one after another.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from frankrl.core.errors import DamagedError, StorageError, SupersededError
from frankrl.runs.folder import RunDescription
from frankrl.runs.publishing.records import (
    CLAIM,
    MAX_RECORD_BYTES,
    Claim,
    Owner,
    Record,
    Saved,
    claim_content,
    decoded,
    encoded,
)
from frankrl.runs.publishing.storage import Storage

FOLDER = "log"
_NAME = re.compile(r"(\d{6})\.json", re.ASCII)
_MAX_TRIES, _RETRY_SECONDS = 20, 0.1

_Kind = TypeVar("_Kind", bound=Record)


class Log:
    """Reads the records of a published run, each of them once."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._known: dict[int, Claim | Saved] = {}

    def head(self) -> tuple[Claim | Saved | None, int]:
        """The newest whole record, and the number of the newest file, which may be a part of one.

        Raises:
            DamagedError: a record is damaged.
            StorageError: the storage cannot be reached.
        """
        found = map(_NAME.fullmatch, self.storage.names(FOLDER))
        numbers = sorted((int(match[1]) for match in found if match), reverse=True)
        for number in numbers:
            if (record := self._read(number)) is not None:
                return record, numbers[0]
        return None, numbers[0] if numbers else 0

    def history(self) -> Iterator[Claim | Saved]:
        """The records from the newest to the first.

        Raises:
            DamagedError: a record is damaged or missing.
            StorageError: the storage cannot be reached.
        """
        record, _ = self.head()
        while record is not None:
            yield record
            if record.after is None:
                return
            number, sha256 = record.after
            before = self._read(number)
            if before is None or before.sha256 != sha256:
                raise DamagedError(
                    f"{self.storage.address}/{name_of(number)} is damaged: record {record.number} "
                    f"follows one with SHA-256 {sha256}"
                )
            record = before

    def newest_saved(self) -> Saved | None:
        """The newest state of the run; None if none was published yet."""
        return next((record for record in self.history() if isinstance(record, Saved)), None)

    def writers(self) -> list[Owner]:
        """Who wrote the states of the history, and who may write the next one; the newest first.

        Raises:
            DamagedError: a record is damaged or missing.
            StorageError: the storage cannot be reached.
        """
        head, _ = self.head()
        if head is None:
            return []
        claim = self.claim_of(head)
        found = [claim.owner]
        while claim.after is not None:
            before = self._read(claim.after[0])
            if before is None:
                break
            claim = self.claim_of(before)
            if isinstance(before, Saved):
                found.append(claim.owner)
        return found

    def claim_of(self, record: Record) -> Claim:
        """The claim under which a record was written.

        Raises:
            DamagedError: it is missing.
        """
        claim = self._read(record.fence)
        if not isinstance(claim, Claim):
            raise DamagedError(
                f"{self.storage.address}/{name_of(record.fence)} is damaged: it is no claim, and "
                f"record {record.number} names it"
            )
        return claim

    def _read(self, number: int) -> Claim | Saved | None:
        if number not in self._known:
            name = name_of(number)
            content = self.storage.read(name, MAX_RECORD_BYTES)
            if content is None:
                return None
            record = decoded(content, number, f"{self.storage.address}/{name}")
            if record is None:
                return None
            self._known[number] = record
        return self._known[number]


class Ownership:
    """The right of this process to write a published run, until another one has claimed it."""

    def __init__(self, log: Log, claim: Claim) -> None:
        self.log = log
        self.claim = claim
        self._head: Claim | Saved = claim
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
        number = last + 1
        content = encoded(
            CLAIM, number, head, claim_content(Owner.this_process(), lease_seconds, description)
        )
        if not _created(log.storage, number, content):
            return None
        # Where files are created and then written, another process may have passed this one over
        # while it was only a part of a record.
        newest, _ = log.head()
        return cls(log, newest) if isinstance(newest, Claim) and newest.number == number else None

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
                number = self._last + 1
                record = encoded(kind, self.fence, self._head, content)
                if _created(self.log.storage, number, record):
                    saved = decoded(record, number, name_of(number))
                    assert isinstance(saved, Saved)
                    self._head, self._last = saved, number
                    return saved
                self.check()
                if self._last < number:
                    # It is there, and the list of names does not show it yet.
                    time.sleep(_RETRY_SECONDS)
        raise StorageError(
            f"{self.log.storage.address}/{name_of(self._last + 1)} cannot be written: it is there, "
            "and cannot be read"
        )

    def check(self) -> None:
        """Look at what others have written since.

        Raises:
            SupersededError: another process has claimed the run.
            StorageError: the storage cannot be reached.
        """
        with self._lock:
            head, last = self.log.head()
            if head is not None and head.fence > self.fence:
                raise self._superseded(head)
            self._head, self._last = head or self._head, max(last, self._last)

    def _superseded(self, head: Record) -> SupersededError:
        claim = self.log.claim_of(head)
        return SupersededError(
            f"{self.log.storage.address} was taken over by {claim.owner} with fencing number "
            f"{claim.fence}, since the lease of this one ({self.claim.owner}, number {self.fence}) "
            "had expired; the run goes on there, and this process publishes nothing more"
        )


def name_of(number: int) -> str:
    """The file of a record."""
    return f"{FOLDER}/{number:06d}.json"


def _created(storage: Storage, number: int, content: bytes) -> bool:
    """Whether a record is in the log now; if the answer to an attempt was lost, it is, too."""
    name = name_of(number)
    return storage.create(name, content) or storage.read(name, MAX_RECORD_BYTES) == content
