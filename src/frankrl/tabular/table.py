"""The Q-table of an agent, whatever it keeps its Q-values in."""

import numpy as np
from gymnasium import spaces
from jaxtyping import Float

from frankrl.environments import EnvironmentSpec
from frankrl.masks import joined
from frankrl.networks import QNetwork


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
    states = np.eye(size, dtype=spec.observation_dtype)
    if spec.mask_size:
        states = joined(states, np.ones((size, spec.num_actions), np.bool_))
    return np.asarray(network(states))
