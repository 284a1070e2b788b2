"""Stacks the observations of one of Gymnasium's environments, as an agent takes them."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, TransformObservation

from frankrl.environments.spec import EnvironmentSpec


def stacked_environment(env: gymnasium.Env, spec: EnvironmentSpec) -> gymnasium.Env:
    """The environment with the newest observations of an episode in one, the oldest first.

    Zeros stand before an episode's first observation; of action masks there is only the newest.

    Args:
        env: the environment.
        spec: its description, which says how many observations are stacked; 1: none.
    """
    count = spec.preprocessing.frame_stack
    if count == 1:
        return env
    stacked = FrameStackObservation(env, count, padding_type="zero")
    # Gymnasium's zeros are the numbers next to zero within the bounds.
    stacked.padding_value = _zeros(env.observation_space)
    one, several = env.observation_space, stacked.observation_space
    if (
        spec.mask_entries is None
        or not isinstance(one, spaces.Dict)
        or not isinstance(several, spaces.Dict)
    ):
        return stacked
    key = spec.mask_entries.mask
    return TransformObservation(
        stacked,
        lambda observation: observation | {key: observation[key][-1]},
        spaces.Dict({**several, key: one[key]}),
    )


def _zeros(space: spaces.Space) -> Any:
    """An observation of zeros; a numbered value is the first one."""
    if isinstance(space, spaces.Dict):
        return {name: _zeros(part) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(_zeros, space))
    return np.zeros(space.shape or (), space.dtype) + np.asarray(
        getattr(space, "start", 0), space.dtype
    )
