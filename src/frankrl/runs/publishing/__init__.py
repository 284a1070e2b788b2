"""Runs that move: what shared storage holds of a run, and who may write it.

ADDRESS/log/000001.json …        the history: claims, checkpoints, the end of the run
ADDRESS/lease/000001.json        the heartbeat of the owner with this fencing number
ADDRESS/blobs/000001/<sha256>    contents of files, by the fencing number of who wrote them
"""

from frankrl.runs.publishing.lease import LeaseKeeper, LeaseWatch, lease_of
from frankrl.runs.publishing.log import Log
from frankrl.runs.publishing.note import noted_claim, write_note
from frankrl.runs.publishing.opened_storage import open_storage
from frankrl.runs.publishing.ownership import Ownership
from frankrl.runs.publishing.publisher import Publisher
from frankrl.runs.publishing.records import FINISHED, MAX_LEASE_SECONDS, Claim, Record, Saved
from frankrl.runs.publishing.restore import fetch, restore_newest
from frankrl.runs.publishing.status import PublishedStatus, published_status
from frankrl.runs.publishing.storage import Storage

__all__ = [
    "FINISHED",
    "MAX_LEASE_SECONDS",
    "Claim",
    "LeaseKeeper",
    "LeaseWatch",
    "Log",
    "Ownership",
    "PublishedStatus",
    "Publisher",
    "Record",
    "Saved",
    "Storage",
    "fetch",
    "lease_of",
    "noted_claim",
    "open_storage",
    "published_status",
    "restore_newest",
    "write_note",
]
