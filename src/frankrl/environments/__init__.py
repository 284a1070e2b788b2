"""Environments: made, checked, stepped side by side, restored."""

from frankrl.environments.make import Staff, make_vector, start_staff
from frankrl.environments.nine_squares import register
from frankrl.environments.seat import Seat
from frankrl.environments.seats import Seats, Worker
from frankrl.environments.spec import EnvironmentSpec, describe, make_environment
from frankrl.environments.vector import (
    DIGEST_BYTES,
    EnvironmentLog,
    EnvironmentVector,
    GymnasiumVector,
)

register()

__all__ = [
    "DIGEST_BYTES",
    "EnvironmentLog",
    "EnvironmentSpec",
    "EnvironmentVector",
    "GymnasiumVector",
    "Seat",
    "Seats",
    "Staff",
    "Worker",
    "describe",
    "make_environment",
    "make_vector",
    "start_staff",
]
