"""A run is a folder: its settings, metrics, checkpoints and results."""

from frankrl.runs.checkpoint import (
    Loaded,
    Tensors,
    load_checkpoint,
    load_newest,
    read_newest,
    save_checkpoint,
)
from frankrl.runs.checkpoint_folder import (
    list_checkpoints,
    remove_checkpoint,
    remove_checkpoints,
    set_aside,
    tidy_checkpoints,
)
from frankrl.runs.chunks import HeldChunks
from frankrl.runs.code import (
    LEARNING,
    PLAYING,
    all_versions,
    check_code,
    check_preset,
    check_settings_code,
)
from frankrl.runs.data_origin import DataOrigin
from frankrl.runs.description import RunDescription
from frankrl.runs.disk import read_regular
from frankrl.runs.folder import RunFolder, check_same_environment
from frankrl.runs.initial import INITIAL, MAX_PATH, Kind, Origin, initial_file, read_initial
from frankrl.runs.lock import RunLock
from frankrl.runs.machine import differences, machine_facts
from frankrl.runs.metrics import MetricsReader, MetricsWriter, Row
from frankrl.runs.permission import NO_PERMISSION, Permission, permission_of
from frankrl.runs.takers import StepTakers

__all__ = [
    "INITIAL",
    "LEARNING",
    "MAX_PATH",
    "NO_PERMISSION",
    "PLAYING",
    "DataOrigin",
    "HeldChunks",
    "Kind",
    "Loaded",
    "MetricsReader",
    "MetricsWriter",
    "Origin",
    "Permission",
    "Row",
    "RunDescription",
    "RunFolder",
    "RunLock",
    "StepTakers",
    "Tensors",
    "all_versions",
    "check_code",
    "check_preset",
    "check_same_environment",
    "check_settings_code",
    "differences",
    "initial_file",
    "list_checkpoints",
    "load_checkpoint",
    "load_newest",
    "machine_facts",
    "permission_of",
    "read_initial",
    "read_newest",
    "read_regular",
    "remove_checkpoint",
    "remove_checkpoints",
    "save_checkpoint",
    "set_aside",
    "tidy_checkpoints",
]
