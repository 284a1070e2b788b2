"""The experience replay buffer: stores each step once, builds transitions when sampled."""

from frankrl.replay.buffer import ReplayBuffer, first_ending_rows
from frankrl.replay.chunks import (
    Parts,
    SavedReplay,
    Seen,
    StoredSteps,
    chunk_order,
    chunk_size,
    endings_of,
    first_needed_ending,
    parts_of,
    restored,
    saved_replay,
    saved_shapes,
    seen_shapes,
    step_shapes,
    steps_of,
)
from frankrl.replay.endings import EndingRoom, cut_short, ending_rows_for, with_ending_rows
from frankrl.replay.faults import fault_in, fault_in_seen, fault_in_steps
from frankrl.replay.filled import WholeEpisodes, as_new, filled
from frankrl.replay.host_samplers import NewestSampler, UniformSampler
from frankrl.replay.make import init_replay, make_data_replay, make_replay
from frankrl.replay.mixed import joined, parted
from frankrl.replay.prioritised import PrioritisedSampler
from frankrl.replay.read import Span
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState

__all__ = [
    "EndingRoom",
    "NewestSampler",
    "Parts",
    "PrioritisedSampler",
    "ReplayBuffer",
    "ReplayState",
    "Sample",
    "SampleRequest",
    "Sampler",
    "SavedReplay",
    "Seen",
    "Span",
    "StoredSteps",
    "UniformSampler",
    "WholeEpisodes",
    "as_new",
    "chunk_order",
    "chunk_size",
    "cut_short",
    "ending_rows_for",
    "endings_of",
    "fault_in",
    "fault_in_seen",
    "fault_in_steps",
    "filled",
    "first_ending_rows",
    "first_needed_ending",
    "init_replay",
    "joined",
    "make_data_replay",
    "make_replay",
    "parted",
    "parts_of",
    "restored",
    "saved_replay",
    "saved_shapes",
    "seen_shapes",
    "step_shapes",
    "steps_of",
    "with_ending_rows",
]
