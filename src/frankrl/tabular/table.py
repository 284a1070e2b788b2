"""The Q-table of an agent, whatever it keeps its Q-values in."""

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from frankrl.environments import EnvironmentSpec
from frankrl.environments.masks import joined
from frankrl.networks import QNetwork

_MAX_NUMBERS = 1 << 24
"""Of states that are looked up together: each is a row of zeros with a one."""


def table_size(spec: EnvironmentSpec) -> int | None:
    """How many states a table of the environment has; none where they cannot be counted."""
    space = spec.state_space
    return int(space.n) if isinstance(space, spaces.Discrete) else None


def q_table(spec: EnvironmentSpec, network: QNetwork) -> Float[np.ndarray, "state action"]:
    """Q-values of every state and action, as if every action were allowed in every state.

    Args:
        spec: of an environment whose states are numbered.
        network: a Q-network or a Q-table, with NumPy leaves.
    """
    size = table_size(spec)
    if size is None:
        raise ValueError(f"the states of {spec.env_id} cannot be counted")
    parts = []
    some = max(1, _MAX_NUMBERS // size)
    for first in range(0, size, some):
        states = np.eye(min(some, size - first), size, first, dtype=spec.observation_dtype)
        if spec.mask_size:
            states = joined(states, np.ones((len(states), spec.num_actions), np.bool_))
        parts.append(np.asarray(network(states)))
    return np.concatenate(parts)


def first_state(spec: EnvironmentSpec) -> int:
    """The environment's own number of the first row."""
    space = spec.state_space
    return int(space.start) if isinstance(space, spaces.Discrete) else 0
