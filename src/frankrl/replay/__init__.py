"""The experience replay buffer and what goes into it."""

from frankrl.replay.n_step import NStepWindow, init_window, n_step_quadruples
from frankrl.replay.uniform import (
    FilledPart,
    ReplayState,
    add,
    bytes_per_transition,
    filled_part,
    gather,
    init_replay,
    newest_indices,
    refilled,
    sample_indices,
)

__all__ = [
    "FilledPart",
    "NStepWindow",
    "ReplayState",
    "add",
    "bytes_per_transition",
    "filled_part",
    "gather",
    "init_replay",
    "init_window",
    "n_step_quadruples",
    "newest_indices",
    "refilled",
    "sample_indices",
]
