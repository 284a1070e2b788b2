"""One process at a time drives the runs of a folder: a sweep, an experiment, or several seeds.

It needs no locks of the file system. Claims are numbered files, each created exclusively, and the
newest one holds, until its process gives it up, has ended, or no longer renews its heartbeat:

.driver/000007.json   the claim: which process of which machine
.driver/000007.beat   its heartbeat, the number of its renewals
"""

import contextlib
import json
import os
import re
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import (
    DamagedError,
    FrankError,
    RunFolderError,
    StorageError,
    SupersededError,
    warn,
)
from frankrl.core.process_life import is_alive, start_ticks
from frankrl.core.text import shown
from frankrl.core.wording import option
from frankrl.jobs.engine import Ended, Engine, run_jobs
from frankrl.jobs.job import Job
from frankrl.runs.folder import DRIVER
from frankrl.runs.publishing import Storage, open_storage

_LEASE_SECONDS = 30.0
"""A process of another machine has lost the folder if its heartbeat stood still for so long."""
_RENEW_SECONDS, _LOOK_SECONDS = _LEASE_SECONDS / 3, 1.0
_RETRY_SECONDS = 0.1
_MAX_CLAIMS = 999_998
_CLAIM = re.compile(r"(\d{6})\.json", re.ASCII)
_MAX_BYTES = 1 << 12


class _Owner(NamedTuple):
    """A process that drives a folder."""

    host: str
    pid: int
    machine: str
    """What names the machine, since it was started, and the numbering of its processes."""
    ticks: int | None
    """When the process started."""

    @classmethod
    def this_process(cls) -> "_Owner":
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _this_machine(), start_ticks(pid))

    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.machine == _this_machine()

    def has_ended(self) -> bool:
        """Whether it was a process of this machine that has ended."""
        return self.is_here() and (not is_alive(self.pid) or start_ticks(self.pid) != self.ticks)

    def __str__(self) -> str:
        return f"process {self.pid} on {shown(self.host, 100)}"


class _Beat(NamedTuple):
    """A heartbeat."""

    renewals: int
    is_over: bool
    """Whether its process has given the folder up."""


class _Claims:
    """The claims of a folder."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def numbers(self) -> list[int]:
        """The numbers of all claims, from the first one."""
        found = map(_CLAIM.fullmatch, self._storage.names(DRIVER))
        return sorted(int(match[1]) for match in found if match)

    def newest(self) -> int:
        """The number of the newest claim; 0: there is none."""
        return max(self.numbers(), default=0)

    def owner(self, number: int) -> _Owner | None:
        """Who made a claim; None if that is not, or not yet, to be read."""
        plain = self._read(f"{number:06d}.json")
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            ticks = plain["ticks"]
            return _Owner(
                str(plain["host"]),
                int(plain["pid"]),
                str(plain["machine"]),
                None if ticks is None else int(ticks),
            )
        return None

    def beat(self, number: int) -> _Beat:
        """The heartbeat of a claim."""
        plain = self._read(f"{number:06d}.beat")
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            return _Beat(int(plain["renewals"]), plain["is_over"] is True)
        return _Beat(0, False)

    def write_beat(self, number: int, beat: _Beat) -> None:
        """Replace the heartbeat of a claim."""
        self._storage.put(f"{DRIVER}/{number:06d}.beat", json.dumps(beat._asdict()).encode())

    def make(self, number: int, owner: _Owner) -> bool:
        """Make a claim; false if another process has made that one, or a later one."""
        name = f"{DRIVER}/{number:06d}.json"
        content = json.dumps(owner._asdict() | {"token": secrets.token_hex(16)}).encode()
        made = self._storage.create(name, content)
        # The answer to the attempt may have been lost.
        if not made and self._storage.read(name, _MAX_BYTES) != content:
            return False
        # Where files are created and then written, another process may have passed this one over.
        if self.newest() == number:
            return True
        self.remove(number)
        return False

    def remove(self, number: int) -> None:
        """Remove a claim that no longer holds."""
        for ending in ("json", "beat"):
            self._storage.delete(f"{DRIVER}/{number:06d}.{ending}")

    def _read(self, name: str) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self._storage.read(f"{DRIVER}/{name}", _MAX_BYTES) or b"null")
        return None


class Driver:
    """The right of this process to drive the runs of a folder."""

    def __init__(self, folder: Path, claims: _Claims, number: int) -> None:
        self._folder, self._claims, self._number = folder, claims, number
        self._renewals = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="frank-driver", daemon=True)
        self._thread.start()

    def run(
        self, engine: Engine, next_job: Callable[[], Job | None], on_ended: Callable[[Ended], None]
    ) -> None:
        """Do jobs as `run_jobs` does, while no other process has taken the folder.

        Raises:
            SupersededError: one has; every run is saved.
            FrankError: as `run_jobs`.
        """

        def next_of_ours() -> Job | None:
            self.check()
            return next_job()

        def taken(ended: Ended) -> None:
            self.check()
            on_ended(ended)

        run_jobs(engine, next_of_ours, taken)

    def check(self) -> None:
        """Look whether another process has taken the folder.

        Raises:
            SupersededError: one has.
        """
        with contextlib.suppress(StorageError):
            newest = self._claims.newest()
            if newest != self._number:
                raise SupersededError(
                    f"{self._folder} was taken over by {self._claims.owner(newest)}, since this "
                    "process had not renewed its claim: it goes on there, and ends here"
                )

    def stop(self) -> None:
        """Let others drive the folder."""
        self._stopped.set()
        self._thread.join()
        self._renew(is_over=True)

    def _keep(self) -> None:
        while True:
            self._renew(is_over=False)
            if self._stopped.wait(_RENEW_SECONDS):
                return

    def _renew(self, *, is_over: bool) -> None:
        # If the folder cannot be written, those who write the runs say so.
        with contextlib.suppress(FrankError):
            if self._claims.newest() == self._number:
                self._renewals += 1
                self._claims.write_beat(self._number, _Beat(self._renewals, is_over))


@contextlib.contextmanager
def driven(
    folder: Path,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Driver]:
    """Drive the runs of a folder within a context, as the only process.

    A process of this machine that was killed is passed over at once, one of another machine after
    its heartbeat has stood still for half a minute.

    Args:
        folder: the folder; made if it is not there.
        clock: a clock that only goes forward. [s]
        sleep: waits for a time. [s]

    Raises:
        RunFolderError: another process drives it, or its claims are damaged.
        StorageError: it cannot be read or written.
    """
    claims = _Claims(open_storage(folder))
    number = 0
    while not number:
        newest = claims.newest()
        if newest and not _is_free(claims, newest, folder, clock, sleep):
            owner = claims.owner(newest) or "another process"
            raise RunFolderError(
                f"the runs of {folder} are being written by {owner}; wait for it, stop it, or "
                f"choose another {option('out')}"
            )
        if newest >= _MAX_CLAIMS:
            raise DamagedError(
                f"{folder / DRIVER} is damaged: it holds claim {newest:,}, and nobody has made so "
                "many; remove it if no process writes there"
            )
        if claims.make(newest + 1, _Owner.this_process()):
            number = newest + 1
        else:
            # It is there, and the list of names may not show it yet.
            sleep(_RETRY_SECONDS)
    for earlier in claims.numbers():
        if earlier < number:
            claims.remove(earlier)
    driver = Driver(folder, claims, number)
    try:
        yield driver
    finally:
        driver.stop()


def _is_free(
    claims: _Claims,
    number: int,
    folder: Path,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> bool:
    """Whether a claim no longer holds; of another machine's process only its heartbeat says so."""
    owner, seen = claims.owner(number), claims.beat(number)
    if seen.is_over or (owner is not None and owner.has_ended()):
        return True
    if owner is not None and owner.is_here():
        return False
    warn(
        f"{folder} was last driven by {owner or 'a process that is not known'}: looking for "
        f"{_LEASE_SECONDS:.0f} s whether it still is"
    )
    since = clock()
    while clock() - since < _LEASE_SECONDS:
        sleep(_LOOK_SECONDS)
        if claims.newest() != number:
            return True
        beat = claims.beat(number)
        if beat != seen:
            return beat.is_over
    return True


def _this_machine() -> str:
    """What names this machine, since it was started, and the numbering of its processes."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {started} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():012x}"
