"""A run is a folder: its settings, metrics, checkpoints and results."""

from frankrl.runs.checkpoint import (
    Tensors,
    list_checkpoints,
    load_tensors,
    newest_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from frankrl.runs.folder import RunDescription, RunFolder
from frankrl.runs.lock import RunLock
from frankrl.runs.machine import machine_facts, versions
from frankrl.runs.metrics import MetricsReader, MetricsWriter

__all__ = [
    "MetricsReader",
    "MetricsWriter",
    "RunDescription",
    "RunFolder",
    "RunLock",
    "Tensors",
    "list_checkpoints",
    "load_tensors",
    "machine_facts",
    "newest_checkpoint",
    "remove_checkpoints",
    "save_checkpoint",
    "versions",
]
