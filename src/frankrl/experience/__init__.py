"""Experience: policies, exploration, and the sources of steps."""

from frankrl.experience.exploration import (
    epsilon_greedy,
    exploration_draws,
    explores,
    linear_epsilon,
)
from frankrl.experience.normaliser import (
    NormalisedQValues,
    Statistics,
    empty_statistics,
    fault_in,
    statistics_from,
    statistics_tensors,
)
from frankrl.experience.policy import HostPolicy, Policy, acting_noise, make_policy
from frankrl.experience.source import Collected, HostSource, Source, steps_of

__all__ = [
    "Collected",
    "HostPolicy",
    "HostSource",
    "NormalisedQValues",
    "Policy",
    "Source",
    "Statistics",
    "acting_noise",
    "empty_statistics",
    "epsilon_greedy",
    "exploration_draws",
    "explores",
    "fault_in",
    "linear_epsilon",
    "make_policy",
    "statistics_from",
    "statistics_tensors",
    "steps_of",
]
