"""Environments: made, checked, stepped side by side, restored."""

from frankrl.environments.spec import EnvironmentSpec, describe, make_environment
from frankrl.environments.vector import EnvironmentLog, EnvironmentVector, FilmingEnvironment

__all__ = [
    "EnvironmentLog",
    "EnvironmentSpec",
    "EnvironmentVector",
    "FilmingEnvironment",
    "describe",
    "make_environment",
]
