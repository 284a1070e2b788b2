"""Open any update of a run: where its batch came from, and every number of it."""

from frankrl.explaining.cloning_record import CloningRecord
from frankrl.explaining.cost import cost_of, openable
from frankrl.explaining.origin import Origin, TransitionInData, batch_origins, origins
from frankrl.explaining.record import UpdateRecord, record_of
from frankrl.explaining.reopen import Reopened, reopen

__all__ = [
    "CloningRecord",
    "Origin",
    "Reopened",
    "TransitionInData",
    "UpdateRecord",
    "batch_origins",
    "cost_of",
    "openable",
    "origins",
    "record_of",
    "reopen",
]
