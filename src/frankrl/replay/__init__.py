"""The experience replay buffer: stores each step once, builds transitions when sampled."""

from frankrl.replay.buffer import ReplayBuffer, first_ending_rows
from frankrl.replay.endings import EndingRoom, cut_short, with_ending_rows
from frankrl.replay.faults import fault_in
from frankrl.replay.filled import ending_rows_in, filled_part, part_of, refilled
from frankrl.replay.host_samplers import NewestSampler, UniformSampler
from frankrl.replay.make import init_replay, make_replay
from frankrl.replay.prioritised import PrioritisedSampler
from frankrl.replay.sampler import Sample, Sampler, SampleRequest
from frankrl.replay.state import ReplayState

__all__ = [
    "EndingRoom",
    "NewestSampler",
    "PrioritisedSampler",
    "ReplayBuffer",
    "ReplayState",
    "Sample",
    "SampleRequest",
    "Sampler",
    "UniformSampler",
    "cut_short",
    "ending_rows_in",
    "fault_in",
    "filled_part",
    "first_ending_rows",
    "init_replay",
    "make_replay",
    "part_of",
    "refilled",
    "with_ending_rows",
]
