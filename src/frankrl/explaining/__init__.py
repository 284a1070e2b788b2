"""Open any update of a run: where its batch came from, and every number of it."""

from frankrl.explaining.cloning_record import CloningRecord
from frankrl.explaining.origin import DataOrigin, Origin, batch_origins, origins
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.explaining.reopen import Reopened, cost_of, openable, reopen

__all__ = [
    "CloningRecord",
    "DataOrigin",
    "Origin",
    "Reopened",
    "UpdateRecord",
    "batch_origins",
    "cost_of",
    "openable",
    "origins",
    "record_of",
    "reopen",
]
