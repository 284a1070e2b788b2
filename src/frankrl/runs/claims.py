"""Which process drives the runs of a folder: a sweep, an experiment, or several seeds.

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
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.core.errors import RunFolderError, warn
from frankrl.core.process_life import is_alive, start_ticks
from frankrl.core.text import shown
from frankrl.runs.layout import DRIVER
from frankrl.runs.publishing import Storage, open_storage

LEASE_SECONDS = 30.0
"""A process of another machine has lost the folder if its heartbeat stood still for so long."""
_LOOK_SECONDS = 1.0
_CLAIM = re.compile(r"(\d{6})\.json", re.ASCII)
_MAX_BYTES = 1 << 12


class Owner(NamedTuple):
    """A process that drives a folder."""

    host: str
    pid: int
    machine: str
    """What names the machine, since it was started, and the numbering of its processes."""
    ticks: int | None
    """When the process started."""

    @classmethod
    def this_process(cls) -> "Owner":
        """This process, as others will know it."""
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


class Beat(NamedTuple):
    """A heartbeat."""

    renewals: int
    is_over: bool
    """Whether its process has given the folder up."""


class Claims:
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

    def owner(self, number: int) -> Owner | None:
        """Who made a claim; None if that is not, or not yet, to be read."""
        plain = self._read(f"{number:06d}.json")
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            ticks = plain["ticks"]
            return Owner(
                str(plain["host"]),
                int(plain["pid"]),
                str(plain["machine"]),
                None if ticks is None else int(ticks),
            )
        return None

    def beat(self, number: int) -> Beat:
        """The heartbeat of a claim."""
        plain = self._read(f"{number:06d}.beat")
        with contextlib.suppress(TypeError, ValueError, KeyError, OverflowError):
            return Beat(int(plain["renewals"]), plain["is_over"] is True)
        return Beat(0, False)

    def write_beat(self, number: int, beat: Beat) -> None:
        """Replace the heartbeat of a claim."""
        self._storage.put(f"{DRIVER}/{number:06d}.beat", json.dumps(beat._asdict()).encode())

    def make(self, number: int, owner: Owner) -> bool:
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


def is_free(
    claims: Claims,
    number: int,
    folder: Path,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether a claim no longer holds; of another machine's process only its heartbeat says so.

    Args:
        claims: the claims of the folder.
        number: that of the claim.
        folder: the folder.
        clock: a clock that only goes forward. [s]
        sleep: waits for a time. [s]
    """
    owner, seen = claims.owner(number), claims.beat(number)
    if seen.is_over or (owner is not None and owner.has_ended()):
        return True
    if owner is not None and owner.is_here():
        return False
    warn(
        f"{folder} was last driven by {owner or 'a process that is not known'}: looking for "
        f"{LEASE_SECONDS:.0f} s whether it still is"
    )
    since = clock()
    while clock() - since < LEASE_SECONDS:
        sleep(_LOOK_SECONDS)
        if claims.newest() != number:
            return True
        beat = claims.beat(number)
        if beat != seen:
            return beat.is_over
    return True


def refuse_driven(folder: Path) -> None:
    """Check that no process drives the runs of a folder.

    Raises:
        RunFolderError: one does.
        StorageError: the folder cannot be read.
    """
    claims = Claims(open_storage(folder))
    newest = claims.newest()
    if newest and not is_free(claims, newest, folder):
        owner = claims.owner(newest) or "another process"
        raise RunFolderError(
            f"the runs of {folder} are being written by {owner}; wait for it, or stop it"
        )


def _this_machine() -> str:
    """What names this machine, since it was started, and the numbering of its processes."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {started} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():012x}"
