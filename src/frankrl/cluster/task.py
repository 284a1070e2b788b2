"""What a node of the cluster does: one job, whose run is published while it goes on."""

import sys
from collections.abc import Mapping
from typing import Any

from frankrl.cluster.nodes import check_versions
from frankrl.core.stopping import stop_signals
from frankrl.core.wording import command_line
from frankrl.jobs import Answer, Job, publish_job


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
        `answer`: an `Answer` as JSON data; `node_id`: of this machine.
    """
    from frankrl.cluster.connection import own_address, own_id, software

    with command_line(), stop_signals() as stop_requested:

        def work() -> bool:
            found = Job.from_json(job)
            check_versions(wanted, own_address(), software(prunes=True))
            return publish_job(
                found, address, stop_requested, say=_say, lease_seconds=lease_seconds
            )

        answer = Answer.of(work)
    if answer.error:
        _say(answer.error)
    return {"answer": answer.to_plain(), "node_id": own_id()}


def _say(text: str) -> None:
    """For the log of this process, which Ray keeps on the node."""
    print(f"frank: {text}", file=sys.stderr, flush=True)
