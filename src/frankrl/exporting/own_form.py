"""Stored observations in the environment's own form again."""

from typing import Any

import jax
import numpy as np
from gymnasium import spaces
from jaxtyping import Bool, Shaped

from frankrl.core.types import Observation
from frankrl.environments import EnvironmentSpec, Leaf, together
from frankrl.exporting.leaf_spaces import leaf_spaces


def own_observations(
    spec: EnvironmentSpec,
    observation: Observation,
    mask: Bool[np.ndarray, "state action"] | None,
) -> Observation:
    """Observations with the dtypes, numbers and entries of the environment's observation space.

    Args:
        spec: the environment.
        observation: what is stored of them; leaves of shape (state, …). Numbers that are no
            integers have 32 bits there.
        mask: their action masks; None without. One that allows nothing in a last state is stored
            as all true.
    """
    leaves, parts = jax.tree.leaves(observation), leaf_spaces(spec.state_space)
    own = [
        _own(leaf, part, np.asarray(stored))
        for leaf, part, stored in zip(spec.leaves, parts, leaves, strict=True)
    ]
    state = together(spec.structure, own)
    if spec.mask_entries is None:
        return state
    assert mask is not None
    names, key = spec.mask_entries
    assert isinstance(spec.observation_space, spaces.Dict)
    space = spec.observation_space[key]
    shape = (len(mask), *(space.shape or ()))
    entries = {names[0]: state} if len(names) == 1 else dict(state)
    return {**entries, key: mask.reshape(shape).astype(space.dtype)}


def _own(leaf: Leaf, space: spaces.Space, stored: Shaped[np.ndarray, "state ..."]) -> Any:
    if leaf.first_values is None:
        return stored.astype(space.dtype)
    first = np.array(leaf.first_values, np.int64).reshape(leaf.shape)
    return (stored + first).astype(space.dtype)
