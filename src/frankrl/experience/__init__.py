"""Experience: policies, exploration, and the sources of steps."""

from frankrl.experience.exploration import (
    epsilon_greedy,
    exploration_draws,
    explores,
    linear_epsilon,
)
from frankrl.experience.policy import HostPolicy, Policy, acting_noise, make_policy
from frankrl.experience.source import Collected, HostSource, Source, steps_of

__all__ = [
    "Collected",
    "HostPolicy",
    "HostSource",
    "Policy",
    "Source",
    "acting_noise",
    "epsilon_greedy",
    "exploration_draws",
    "explores",
    "linear_epsilon",
    "make_policy",
    "steps_of",
]
