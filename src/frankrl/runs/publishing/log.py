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
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from frankrl.core.errors import DamagedError
from frankrl.runs.publishing.records import (
    MAX_RECORD_BYTES,
    Claim,
    Owner,
    Record,
    Saved,
    decoded,
)
from frankrl.runs.publishing.storage import Storage

FOLDER = "log"
_NAME = re.compile(r"(\d{6})\.json", re.ASCII)
_MAX_RECORDS = 999_999

BAR = b"what is before this file and no whole record is passed over\n"
"""What a bar holds; it is the beginning of no record."""

_Kind = TypeVar("_Kind", bound=Record)


class End(NamedTuple):
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

    def end(self, known: int = 0) -> End:
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
        return End(next((one for one in records if one is not None), None), last, is_open)

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
        return self.storage.read(name_of(number), MAX_RECORD_BYTES) == BAR

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


def name_of(number: int) -> str:
    """The file of a record."""
    return f"{FOLDER}/{number:06d}.json"
