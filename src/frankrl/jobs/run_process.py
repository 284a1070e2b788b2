"""Processes that do runs, each with a pipe of its own.

A pool with one queue for all could not be stopped: an idle process that is ended while it waits
for the queue holds the queue's lock for ever.
"""

import contextlib
import functools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import resource_tracker
from typing import Any

from frankrl.core import system
from frankrl.core.stopping import stop_signals
from frankrl.core.wording import command_line
from frankrl.jobs.answer import Answer
from frankrl.jobs.engine import Ended
from frankrl.jobs.job import Job

Work = Callable[[Job, Callable[[], bool]], bool]
"""Does a job, until the function given to it returns true; returns whether it is done."""


class ProcessDiedError(Exception):
    """The process of a job has died."""


class RunProcess:
    """One process, which does one job at a time."""

    def __init__(self, work: Work) -> None:
        """Start the process; it must not be forked, because this one may have used JAX."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        # It would let signals through again, were it started within the block.
        resource_tracker.ensure_running()
        with system.interrupts_held_back():
            self._process.start()
        theirs.close()
        self.job: Job | None = None
        """What the process is doing; None: nothing."""

    def begin(self, job: Job) -> None:
        """Give the idle process a job."""
        self.job = job
        # If the process has died, `finish` says so.
        with contextlib.suppress(OSError):
            self._connection.send(job.to_json())

    def finish(self) -> Ended:
        """Wait for the end of the job.

        Raises:
            ProcessDiedError: the process has died.
            RuntimeError: the job failed by a fault of the program.
        """
        job, self.job = self.job, None
        assert job is not None
        try:
            answer = Answer.from_plain(self._connection.recv())
        except (EOFError, OSError):
            raise ProcessDiedError from None
        return answer.ended(job)

    def stop(self) -> None:
        """Ask the process to save and end; an idle one just ends."""
        # On Windows a process that is terminated saves nothing: there the closed pipe asks it.
        if self.job is not None and not system.IS_WINDOWS:
            self._process.terminate()
        self._connection.close()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the end of a process that was stopped."""
        self._process.join()

    @staticmethod
    def answered(processes: Iterable["RunProcess"], seconds: float) -> Sequence["RunProcess"]:
        """The processes that have ended their job, after waiting for one of them for a while."""
        busy = {process._connection: process for process in processes if process.job is not None}
        return [busy[found] for found in multiprocessing.connection.wait(busy, seconds)]  # pyright: ignore[reportArgumentType]


def _serve(connection: Any, work: Work) -> None:
    """Do jobs until the other end is closed or a stop is requested."""
    _stand_alone()
    with command_line(), stop_signals() as signals:

        def stop_requested() -> bool:
            return signals() or (system.IS_WINDOWS and _is_closed(connection))

        while not stop_requested():
            try:
                job = Job.from_json(connection.recv())
            except EOFError:
                return
            answer = Answer.of(functools.partial(work, job, stop_requested))
            # If nobody waits for the answer any more, the run's folder still has the result.
            with contextlib.suppress(OSError):
                connection.send(answer.to_plain())


def _is_closed(connection: Any) -> bool:
    """Whether the other end is closed; while a job is done nothing else comes from there."""
    try:
        return connection.poll()
    except (EOFError, OSError):
        return True


def _stand_alone() -> None:
    """Signals come only from the parent, and the process ends with the parent."""
    system.lead_a_group()
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
