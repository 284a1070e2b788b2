"""One process at a time drives the runs of a folder: a sweep, an experiment, or several seeds."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from frankrl.core.errors import (
    DamagedError,
    FrankError,
    RunFolderError,
    StorageError,
    SupersededError,
)
from frankrl.core.wording import option
from frankrl.jobs.engine import Ended, Engine, run_jobs
from frankrl.jobs.job import Job
from frankrl.runs.claims import LEASE_SECONDS, Beat, Claims, Owner, is_free
from frankrl.runs.layout import DRIVER
from frankrl.runs.publishing import open_storage

_RENEW_SECONDS, _RETRY_SECONDS = LEASE_SECONDS / 3, 0.1
_MAX_CLAIMS = 999_998


class Driver:
    """The right of this process to drive the runs of a folder."""

    def __init__(self, folder: Path, claims: Claims, number: int) -> None:
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
                self._claims.write_beat(self._number, Beat(self._renewals, is_over))


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
    claims = Claims(open_storage(folder))
    number = 0
    while not number:
        newest = claims.newest()
        if newest and not is_free(claims, newest, folder, clock, sleep):
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
        if claims.make(newest + 1, Owner.this_process()):
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
