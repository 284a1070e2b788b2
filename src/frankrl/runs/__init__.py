"""A run is a folder: its settings, metrics, checkpoints and results."""

from frankrl.runs.checkpoint import (
    Loaded,
    Tensors,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    remove_checkpoint,
    remove_checkpoints,
    save_checkpoint,
    set_aside,
    tidy_checkpoints,
)
from frankrl.runs.code import check_code
from frankrl.runs.disk import read_regular
from frankrl.runs.folder import (
    Permission,
    RunDescription,
    RunFolder,
    check_same_environment,
)
from frankrl.runs.lock import RunLock
from frankrl.runs.machine import differences, machine_facts, versions
from frankrl.runs.metrics import MetricsReader, MetricsWriter, Row

__all__ = [
    "Loaded",
    "MetricsReader",
    "MetricsWriter",
    "Permission",
    "Row",
    "RunDescription",
    "RunFolder",
    "RunLock",
    "Tensors",
    "check_code",
    "check_same_environment",
    "differences",
    "list_checkpoints",
    "load_checkpoint",
    "load_newest",
    "machine_facts",
    "read_regular",
    "remove_checkpoint",
    "remove_checkpoints",
    "save_checkpoint",
    "set_aside",
    "tidy_checkpoints",
    "versions",
]
