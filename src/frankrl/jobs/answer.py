"""What a process of its own answers about its job."""

import dataclasses
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from frankrl.core.errors import FrankError
from frankrl.jobs.engine import Ended, would_fail_again
from frankrl.jobs.job import Job


@dataclass(frozen=True)
class Answer:
    """How a job has ended in another process."""

    is_done: bool
    """Whether its run is over; false if it was stopped."""
    error: str = ""
    """Why the run cannot go on."""
    fails_again: bool = False
    """Whether another try would fail alike."""
    fault: str = ""
    """The traceback of a fault of the program."""

    @classmethod
    def of(cls, work: Callable[[], bool]) -> "Answer":
        """Do a job.

        Args:
            work: does it; returns whether its run is over.
        """
        try:
            return cls(work())
        except FrankError as error:
            return cls(False, str(error), would_fail_again(error))
        except Exception:
            return cls(False, fault=traceback.format_exc())

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: Any) -> "Answer":
        """The reverse of `to_plain`."""
        return cls(**plain)

    def ended(self, job: Job) -> Ended:
        """The end of the job.

        Raises:
            RuntimeError: it has failed by a fault of the program.
        """
        if self.fault:
            raise RuntimeError(f"the process of the run {job.run} failed:\n{self.fault}")
        return Ended(job, self.is_done, self.error, self.fails_again)
