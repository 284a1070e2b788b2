"""The history of a published run: numbered records, each created exclusively.

Of all processes that try to write record n + 1, the storage lets one succeed, and each record names
the one that it follows. So there is one history, whatever clocks, networks and schedulers do: it is
the newest whole record and those before it, one after another.

Where there are no hard links, a file is there before its record is whole. So whoever wants to pass
over a part of a record creates a bar after it, looks again whether the record is whole by now, and
only then writes after the bar. Whoever has completed a record looks whether there is a later file.
If there is none, every later writer will see the record whole: it stays in the history. If there is
one, the record may have been passed over, and its writer writes again, or is told who has the run.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

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
_MAX_RECORDS = 999_999
_MAX_TRIES, _RETRY_SECONDS = 20, 0.1

_BAR = b"what is before this file and no whole record is passed over\n"
"""What a bar holds; it is the beginning of no record."""

_Kind = TypeVar("_Kind", bound=Record)


class _End(NamedTuple):
    """Where the log ends."""

    head: Claim | Saved | None
    """The newest whole record."""
    last: int
    """Number of the newest file."""
    is_open: bool
    """Whether that file is a part of a record, which may still become whole."""


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
        return self.end()[:2]

    def end(self, known: int = 0) -> _End:
        """Where the log ends.

        Args:
            known: number of the newest file that was seen before.

        Raises:
            DamagedError: a record is damaged.
            StorageError: the storage cannot be reached.
        """
        found = map(_NAME.fullmatch, self.storage.names(FOLDER))
        numbers = {0, *(int(match[1]) for match in found if match)}
        # Some network file systems keep a list of names for a minute, so later names are tried.
        last = max(numbers)
        while last < known or self.storage.read(name_of(last + 1), MAX_RECORD_BYTES) is not None:
            last += 1
            numbers.add(last)
        if last >= _MAX_RECORDS:
            raise DamagedError(
                f"{self.storage.address}/{name_of(last)} is damaged: a run has fewer than "
                f"{_MAX_RECORDS:,} records; remove the file if no run has written it"
            )
        # A bar is seen before what it bars is read.
        is_open = last > 0 and self._read(last) is None and not self._is_bar(last)
        records = map(self._read, sorted(numbers - {0}, reverse=True))
        return _End(next((one for one in records if one is not None), None), last, is_open)

    def history(self, newest: Claim | Saved | None = None) -> Iterator[Claim | Saved]:
        """The records from the newest to the first, each of them read when it is asked for.

        Args:
            newest: begin with this one; None: with the newest of all.

        Raises:
            DamagedError: a record is damaged or missing.
            StorageError: the storage cannot be reached.
        """
        record = newest or self.head()[0]
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

    def states(self, newest: Claim | Saved | None = None) -> Iterator[Saved]:
        """The states among the records of `history`."""
        return (record for record in self.history(newest) if isinstance(record, Saved))

    def newest_saved(self) -> Saved | None:
        """The newest state of the run; None if none was published yet."""
        return next(self.states(), None)

    def owners(self) -> Iterator[tuple[Claim, Claim | Saved]]:
        """Each claim of the history, and the last record under it; the newest first.

        It ends before a claim whose predecessor is missing.

        Raises:
            DamagedError: a record is damaged, or a claim is missing.
            StorageError: the storage cannot be reached.
        """
        last, _ = self.head()
        while last is not None:
            claim = self.claim_of(last)
            yield claim, last
            last = None if claim.after is None else self._read(claim.after[0])

    def writers(self) -> list[Owner]:
        """Who wrote the states of the history, and who may write the next one; the newest first.

        Raises:
            DamagedError: a record is damaged or missing.
            StorageError: the storage cannot be reached.
        """
        return [
            claim.owner
            for number, (claim, last) in enumerate(self.owners())
            if number == 0 or isinstance(last, Saved)
        ]

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

    def _is_bar(self, number: int) -> bool:
        return self.storage.read(name_of(number), MAX_RECORD_BYTES) == _BAR

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
                log.storage.create(name_of(last), _BAR)
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
                    self.log.storage.create(name_of(number), _BAR)
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

    def _look(self) -> _End:
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


def name_of(number: int) -> str:
    """The file of a record."""
    return f"{FOLDER}/{number:06d}.json"


def _hash(record: Record | None) -> str:
    return "" if record is None else record.sha256


def _created(storage: Storage, number: int, content: bytes) -> bool:
    """Whether a record is in the log now; if the answer to an attempt was lost, it is, too."""
    name = name_of(number)
    return storage.create(name, content) or storage.read(name, MAX_RECORD_BYTES) == content
