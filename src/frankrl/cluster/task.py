"""What a node of the cluster does: one job, whose run is published while it goes on."""

import dataclasses
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frankrl.cluster.nodes import check_versions
from frankrl.core.errors import FrankError
from frankrl.core.stopping import stop_signals
from frankrl.core.wording import command_line
from frankrl.jobs import Job, publish_job, would_fail_again


@dataclass(frozen=True)
class Answer:
    """How a job on a node has ended."""

    is_done: bool
    error: str = ""
    """Why the run cannot go on."""
    fails_again: bool = False
    """Whether another try would fail alike."""
    fault: str = ""
    """The traceback of a fault of the program."""

    def to_plain(self) -> dict[str, Any]:
        """The answer as JSON data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: Any) -> "Answer":
        """The reverse of `to_plain`."""
        return cls(**plain)


def run_task(
    job: str, address: str, wanted: Mapping[str, str], lease_seconds: float
) -> dict[str, Any]:
    """Do a job on this machine's own disk, and publish its run.

    Ray runs this in the main thread of a process, and asks it to stop by a SIGINT.

    Args:
        job: the job as JSON.
        address: shared storage of its run.
        wanted: versions of the software of the process that gave the job.
        lease_seconds: how long the lease holds without being renewed. [s]

    Returns:
        An `Answer` as JSON data.
    """
    from frankrl.cluster.connection import own_address, software

    with command_line(), stop_signals() as stop_requested:
        try:
            check_versions(wanted, own_address(), software())
            done = publish_job(
                Job.from_json(job), address, stop_requested, say=_say, lease_seconds=lease_seconds
            )
            answer = Answer(done)
        except FrankError as error:
            _say(str(error))
            answer = Answer(False, str(error), would_fail_again(error))
        except Exception:
            answer = Answer(False, fault=traceback.format_exc())
    return answer.to_plain()


def _say(text: str) -> None:
    """For the log of this process, which Ray keeps on the node."""
    print(f"frank: {text}", file=sys.stderr, flush=True)
