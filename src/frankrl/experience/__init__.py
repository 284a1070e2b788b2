"""Experience: policies, exploration, and the sources of steps."""

from frankrl.experience.actors_state import ActorsState, Weights
from frankrl.experience.asynchronous import AsynchronousSource
from frankrl.experience.asynchronous_feed import (
    REQUESTS_AHEAD,
    Carrier,
    LiveFeed,
    Logs,
    RecordedFeed,
    Request,
)
from frankrl.experience.exploration import (
    epsilon_greedy,
    epsilon_ladder,
    exploration_draws,
    explores,
    linear_epsilon,
    mean_epsilon,
)
from frankrl.experience.free_actor import Chunk, FreeActor
from frankrl.experience.host_source import HostSource
from frankrl.experience.normaliser import (
    NormalisedQValues,
    Statistics,
    empty_statistics,
    fault_in,
    statistics_from,
    statistics_tensors,
)
from frankrl.experience.policy import (
    HostPolicy,
    Policy,
    PolicyOutput,
    QValues,
    acting_noise,
    make_policy,
)
from frankrl.experience.source import Collected, HasFreeActors, Restorable, Source
from frankrl.experience.vector_steps import steps_of

__all__ = [
    "REQUESTS_AHEAD",
    "ActorsState",
    "AsynchronousSource",
    "Carrier",
    "Chunk",
    "Collected",
    "FreeActor",
    "HasFreeActors",
    "HostPolicy",
    "HostSource",
    "LiveFeed",
    "Logs",
    "NormalisedQValues",
    "Policy",
    "PolicyOutput",
    "QValues",
    "RecordedFeed",
    "Request",
    "Restorable",
    "Source",
    "Statistics",
    "Weights",
    "acting_noise",
    "empty_statistics",
    "epsilon_greedy",
    "epsilon_ladder",
    "exploration_draws",
    "explores",
    "fault_in",
    "linear_epsilon",
    "make_policy",
    "mean_epsilon",
    "statistics_from",
    "statistics_tensors",
    "steps_of",
]
