"""The Q-table of an agent, whatever it keeps its Q-values in."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int

from frankrl.environments import EnvironmentSpec

_MAX_NUMBERS = 1 << 24
"""Of states that are looked up together: each is a row of zeros with a one."""


def table_size(spec: EnvironmentSpec) -> int | None:
    """How many states a table of the environment has; none where they cannot be counted."""
    space = spec.state_space
    return int(space.n) if isinstance(space, spaces.Discrete) else None


def q_table(
    spec: EnvironmentSpec, q_values: Callable[[Int[np.ndarray, " state"]], np.ndarray]
) -> Float[np.ndarray, "state action"]:
    """Q-values of every state and action, as if every action were allowed in every state.

    Args:
        spec: of an environment whose states are numbered.
        q_values: from a batch of states, by their index from 0, to Q-values.
    """
    size = table_size(spec)
    if size is None:
        raise ValueError(f"the states of {spec.env_id} cannot be counted")
    some = max(1, _MAX_NUMBERS // size)
    parts = [
        np.asarray(q_values(np.arange(first, min(first + some, size), dtype=np.int32)))
        for first in range(0, size, some)
    ]
    return np.concatenate(parts)


def first_state(spec: EnvironmentSpec) -> int:
    """The environment's own number of the first row."""
    space = spec.state_space
    return int(space.start) if isinstance(space, spaces.Discrete) else 0
