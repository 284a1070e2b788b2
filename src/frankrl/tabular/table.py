"""The Q-table of an agent that learned with a Q-table or with a network."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int

from frankrl.environments import EnvironmentSpec

_MAX_NUMBERS = 1 << 24
"""Limit of numbers in one batch of states; each state is a one-hot row."""


def table_size(spec: EnvironmentSpec) -> int | None:
    """Number of states of an environment; None if they are not numbered, or are stacked."""
    space, stack = spec.state_space, spec.preprocessing.frame_stack
    return int(space.n) if isinstance(space, spaces.Discrete) and stack == 1 else None


def q_table(
    spec: EnvironmentSpec, q_values: Callable[[Int[np.ndarray, " state"]], np.ndarray]
) -> Float[np.ndarray, "state action"]:
    """Q-values of every state and action, without action masks.

    Args:
        spec: an environment with numbered states.
        q_values: maps a batch of state indices from 0 to Q-values.
    """
    size = table_size(spec)
    if size is None:
        raise ValueError(f"the states of {spec.env_id} are not numbered")
    some = max(1, _MAX_NUMBERS // size)
    parts = [
        np.asarray(q_values(np.arange(first, min(first + some, size), dtype=np.int32)))
        for first in range(0, size, some)
    ]
    return np.concatenate(parts)
