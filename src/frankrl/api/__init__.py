"""Frank's functions in Python: train, resume, load, evaluate, estimate, explain and export."""

from frankrl.api.evaluating import estimate, evaluate
from frankrl.api.explaining import explain
from frankrl.api.exporting import export, export_dataset
from frankrl.api.loading import load
from frankrl.api.training import resume, train

__all__ = [
    "estimate",
    "evaluate",
    "explain",
    "export",
    "export_dataset",
    "load",
    "resume",
    "train",
]
