"""The experience replay buffer, what goes into it and what is drawn from it."""

from frankrl.replay.make import make_sampling
from frankrl.replay.n_step import NStepWindow, init_window, n_step_quadruples
from frankrl.replay.priorities import BYTES_PER_PRIORITY, Priorities, init_priorities
from frankrl.replay.prioritised import PrioritisedSampling
from frankrl.replay.sampling import Drawn, Due, Sampling
from frankrl.replay.uniform import (
    FilledPart,
    ReplayState,
    add,
    bytes_per_transition,
    filled_part,
    first_slots,
    gather,
    init_replay,
    newest_indices,
    refilled,
    sample_indices,
)

__all__ = [
    "BYTES_PER_PRIORITY",
    "Drawn",
    "Due",
    "FilledPart",
    "NStepWindow",
    "Priorities",
    "PrioritisedSampling",
    "ReplayState",
    "Sampling",
    "add",
    "bytes_per_transition",
    "filled_part",
    "first_slots",
    "gather",
    "init_priorities",
    "init_replay",
    "init_window",
    "make_sampling",
    "n_step_quadruples",
    "newest_indices",
    "refilled",
    "sample_indices",
]
