"""What is known of a job that was given to a cluster."""

from dataclasses import dataclass, field

from frankrl.cluster.run_watch import RunWatch
from frankrl.jobs import Job

_BEGIN_SECONDS = 300.0
"""How long a task may take to claim its run at first; each time that it does not, twice as long. It
waits for a CPU, imports Frank, and waits for an earlier lease; if it was frozen, it never does."""


@dataclass
class GivenTask:
    """A job on the cluster."""

    job: Job
    address: str
    watch: RunWatch
    resource: str = ""
    """Of the CPU model that it has asked for; empty: any."""
    missing_since: float | None = None
    """When no living node had that resource any more. [s]"""
    given_up: str = ""
    """A resource for which it has waited long enough."""
    placed: float = 0.0
    """When Ray got it. [s]"""
    begin_seconds: float = _BEGIN_SECONDS
    """How long it may take to claim its run."""
    was_finished: bool = False
    """Whether its run was finished at the last look."""
    broken_off: str = ""
    """Why its run has broken off, until that is counted."""
    avoided: set[str] = field(default_factory=set)
    """Nodes that could not do it."""
