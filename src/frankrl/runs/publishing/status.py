"""How a published run stands, for those who watch it: pure reading."""

import os
from dataclasses import dataclass
from itertools import pairwise

from frankrl.runs.machine import differences
from frankrl.runs.publishing.lease import LeaseState, lease_of
from frankrl.runs.publishing.log import Log
from frankrl.runs.publishing.opened_storage import open_storage
from frankrl.runs.publishing.records import FINISHED


@dataclass(frozen=True)
class PublishedStatus:
    """What shared storage says of a run."""

    address: str
    env_id: str
    """The environment's name."""
    host: str
    """Machine of the owner, which is the process that took the run last."""
    pid: int
    cpu: str
    """The owner's processor model."""
    fence: int
    """The owner's fencing number."""
    lease: LeaseState
    """`held`, `expired`, or `unknown`: its time is past, but the clocks of machines may differ."""
    seconds_since_renewal: float
    """By this machine's clock and that of the owner; 0 at least."""
    env_steps: int | None
    """Of the newest published checkpoint; None: there is none yet."""
    published_at: float | None
    """When it was published, in seconds since 1970."""
    finished: bool
    """Whether the run has come to its end."""
    differences: tuple[str, ...]
    """In what the processes that wrote the run differ, in words; empty: it is exact."""


def published_status(address: str | os.PathLike[str]) -> PublishedStatus | None:
    """How the run at an address stands; None if there is none. It reads a few small files.

    Raises:
        DamagedError: a record is damaged.
        MissingExtraError, SettingError, StorageError: as `open_storage`; or the storage cannot be
            reached.
    """
    storage = open_storage(address)
    log = Log(storage)
    head, _ = log.head()
    if head is None:
        return None
    claim = log.claim_of(head)
    lease = lease_of(storage, claim)
    saved = log.newest_saved()
    return PublishedStatus(
        storage.address,
        claim.description.env_id,
        claim.owner.host,
        claim.owner.pid,
        claim.owner.cpu,
        claim.fence,
        lease.state(),
        lease.age(),
        None if saved is None else saved.env_steps,
        None if saved is None else saved.time,
        head.kind == FINISHED,
        tuple(_differences(log)),
    )


def _differences(log: Log) -> list[str]:
    """In what each writer's machine and software differ from those of the one before."""
    facts = [{"cpu": owner.cpu, **owner.versions} for owner in reversed(log.writers())]
    found = [one for before, now in pairwise(facts) for one in differences(before, now)]
    return list(dict.fromkeys(found))
