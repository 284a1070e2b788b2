"""Environments: made, checked, stepped side by side, restored."""

from frankrl.environments.make import make_vector
from frankrl.environments.seat import Seat
from frankrl.environments.spec import EnvironmentSpec, describe, make_environment
from frankrl.environments.vector import EnvironmentLog, EnvironmentVector, GymnasiumVector

__all__ = [
    "EnvironmentLog",
    "EnvironmentSpec",
    "EnvironmentVector",
    "GymnasiumVector",
    "Seat",
    "describe",
    "make_environment",
    "make_vector",
]
