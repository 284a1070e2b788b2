"""Engines do jobs, several at once: local processes, a cluster, or commands that are printed."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from frankrl.core.errors import (
    DivergedError,
    EnvironmentFailedError,
    EnvironmentUnusableError,
    FrankError,
    MachineError,
    SettingError,
)
from frankrl.core.stopping import StoppedAtOnceError, StoppedError, stop_signals
from frankrl.environments import WorkerDiedError
from frankrl.jobs.job import Job

_POLL_SECONDS = 0.3
"""Time between two checks whether a stop was requested."""


class Ended(NamedTuple):
    """A job that an engine is no longer busy with."""

    job: Job
    is_done: bool
    """Whether its run is over; false if it was stopped, or if its command was printed."""
    error: str = ""
    """Why the run cannot go on; empty if nothing went wrong."""
    fails_again: bool = False
    """Whether the error follows from the job itself, so that another try would fail alike."""


def would_fail_again(error: FrankError) -> bool:
    """Whether an error follows from a job itself: its settings, its environment, its training.

    Others follow from the machine, such as a full disk, a package that is missing, or the death of
    a process that stepped environments.
    """
    return isinstance(
        error,
        (DivergedError, EnvironmentFailedError, EnvironmentUnusableError, SettingError),
    ) and not isinstance(error, (MachineError, WorkerDiedError))


class Engine(Protocol):
    """Does jobs. What a job gives does not depend on the engine, nor on how many it does at once.

    An engine whose process has died does the job again, from the newest checkpoint.
    """

    @property
    def slots(self) -> int:
        """The number of jobs that it does at once."""
        ...

    def begin(self, job: Job) -> None:
        """Begin a job; there is a free slot."""
        ...

    def ended(self, seconds: float) -> list[Ended]:
        """The jobs that have ended since the last call, after waiting for one for a while.

        Raises:
            FrankError: the engine cannot go on.
        """
        ...

    def stop(self) -> None:
        """Ask every job to save its run and end."""
        ...

    def kill(self) -> None:
        """End every job at once; its run goes on from its newest checkpoint."""
        ...

    def close(self) -> None:
        """Wait for the end of the jobs after `stop` or `kill`, and give everything back."""
        ...


def run_jobs(
    engine: Engine, next_job: Callable[[], Job | None], on_ended: Callable[[Ended], None]
) -> None:
    """Do jobs until there are no more, and close the engine.

    Args:
        engine: does them.
        next_job: the next job; None if none can begin before another one has ended.
        on_ended: called in this thread for each job that has ended, in the order of their ends.

    Raises:
        FrankError: the engine cannot go on.
        StoppedError: a stop was requested; everything done so far is saved.
    """
    with stop_signals() as stop_requested:
        try:
            running = 0
            while not stop_requested():
                while running < engine.slots and (job := next_job()) is not None:
                    engine.begin(job)
                    running += 1
                if not running:
                    return
                for ended in engine.ended(_POLL_SECONDS):
                    running -= 1
                    on_ended(ended)
            if running or next_job() is not None:
                raise StoppedError(
                    "stopped; every run is saved, and the same command continues",
                    stop_requested.exit_status,
                )
        except StoppedAtOnceError:
            engine.kill()
            raise
        finally:
            engine.stop()
            engine.close()
