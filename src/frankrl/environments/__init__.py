"""Environments: made, checked, stepped side by side, restored."""

from frankrl.environments.seat import Seat
from frankrl.environments.spec import EnvironmentSpec, describe, make_environment
from frankrl.environments.vector import EnvironmentLog, EnvironmentVector

__all__ = [
    "EnvironmentLog",
    "EnvironmentSpec",
    "EnvironmentVector",
    "Seat",
    "describe",
    "make_environment",
]
