"""The lease of a published run: a heartbeat, by which others know whether its owner lives.

It only decides when somebody may claim the run. That there is one history never depends on it.
"""

import contextlib
import json
import math
import re
import threading
import time
from typing import Any, Literal, NamedTuple

from frankrl.core.errors import FrankError, SupersededError
from frankrl.runs.publishing.log import Log
from frankrl.runs.publishing.ownership import Ownership
from frankrl.runs.publishing.records import MAX_LEASE_SECONDS, Claim
from frankrl.runs.publishing.storage import Storage

LeaseState = Literal["held", "expired", "unknown"]
CLOCKS_DIFFER_SECONDS = 60.0
"""By how much the clocks of two machines may differ: a lease is taken for expired by its time alone
only if it is older than its length by more than that."""
FOLDER = "lease"
_NAME = re.compile(r"(\d{6})\.json", re.ASCII)
_MAX_BYTES = 1 << 12
_RENEWALS = 3
"""Times that a lease is renewed while it holds."""


class Lease(NamedTuple):
    """A heartbeat."""

    fence: int
    counter: int
    """Grows with every renewal."""
    time: float
    """When it was renewed, by its owner's clock. [s since 1970]"""
    seconds: float
    """How long it holds; 0: its owner has given it up."""

    def age(self) -> float:
        """Time since it was renewed, by this machine's clock; 0 at least. [s]"""
        return max(0.0, time.time() - self.time)

    def state(self) -> LeaseState:
        """What can be said of it at one look."""
        age = self.age()
        if self.seconds == 0 or age > self.seconds + CLOCKS_DIFFER_SECONDS:
            return "expired"
        return "held" if age <= self.seconds else "unknown"


def lease_of(storage: Storage, claim: Claim) -> Lease:
    """The lease of an owner; before its first renewal it is that of its claim.

    Raises:
        DamagedError: it is larger than any lease.
        StorageError: the storage cannot be reached.
    """
    first = Lease(claim.fence, 0, claim.time, claim.lease_seconds)
    content = storage.read(_name(claim.fence), _MAX_BYTES)
    with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
        data: Any = json.loads(content or b"")
        found = Lease(
            claim.fence, int(data["counter"]), float(data["time"]), float(data["lease_seconds"])
        )
        if all(map(math.isfinite, found)) and 0 <= found.seconds <= MAX_LEASE_SECONDS:
            return found
    return first


class LeaseWatch:
    """Watches the lease of other processes until one is expired.

    Clocks of machines differ. So the time in a lease counts at the first look only, and until a
    renewal or another owner was seen; from then on, only whether it changes before one's eyes.
    """

    def __init__(self, log: Log, *, by_time: bool = True) -> None:
        """Begin.

        Args:
            log: the log of the run.
            by_time: whether the time counts at the first look; not needed by who watches from
                before the run was claimed.
        """
        self._log, self._by_time = log, by_time
        self._seen: Lease | None = None
        self._since = 0.0
        self._is_past = False
        """Whether the lease had expired by its time when it was looked at first."""

    def is_expired(self, claim: Claim, now: float) -> bool:
        """Whether the owner's lease is expired.

        Args:
            claim: the owner's claim.
            now: a clock that only goes forward, read just now. [s]

        Raises:
            StorageError: the storage cannot be reached.
        """
        lease = lease_of(self._log.storage, claim)
        if self._seen is None or lease[:2] != self._seen[:2]:
            is_first = self._seen is None
            self._is_past = is_first and self._by_time and lease.state() == "expired"
            self._seen, self._since = lease, now
        return self._is_past or now - self._since >= lease.seconds


class LeaseKeeper:
    """Renews the lease of this process in a thread of its own, and sees when it was taken over."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership
        self._counter = 0
        self._stopped = threading.Event()
        self.superseded: SupersededError | None = None
        """Who has taken the run over, once that was seen."""
        self._thread = threading.Thread(target=self._keep, name="frank-lease", daemon=True)
        self._thread.start()

    def stop(self, *, give_up: bool) -> None:
        """Renew no more.

        Args:
            give_up: let others take the run at once.
        """
        self._stopped.set()
        self._thread.join()
        if give_up and self.superseded is None:
            with contextlib.suppress(FrankError):
                self._write(0.0)

    def _keep(self) -> None:
        seconds = self._ownership.claim.lease_seconds
        while True:
            # If the storage cannot be reached, the publisher says so.
            with contextlib.suppress(FrankError):
                self._renew(seconds)
            if self.superseded or self._stopped.wait(seconds / _RENEWALS):
                return

    def _renew(self, seconds: float) -> None:
        self._write(seconds)
        try:
            self._ownership.check()
        except SupersededError as error:
            self.superseded = error

    def _write(self, seconds: float) -> None:
        self._counter += 1
        data = {"counter": self._counter, "time": round(time.time(), 3), "lease_seconds": seconds}
        content = (json.dumps(data) + "\n").encode()
        self._ownership.log.storage.put(_name(self._ownership.fence), content)


def remove_leases(storage: Storage, before: int) -> None:
    """Remove the leases of earlier owners.

    Raises:
        StorageError: the storage cannot be reached.
    """
    for name in storage.names(FOLDER):
        # Other names are those of leases that are being written.
        if (match := _NAME.fullmatch(name)) and int(match[1]) < before:
            storage.delete(f"{FOLDER}/{name}")


def _name(fence: int) -> str:
    return f"{FOLDER}/{fence:06d}.json"
