"""Pictures of Frank's functional environments, drawn by Gymnasium's own."""

import functools
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import UInt8


def drawn(env_id: str, state: Any) -> UInt8[np.ndarray, "height width 3"]:
    """The picture that an environment of Gymnasium's draws of a state.

    Raises:
        gymnasium.error.DependencyNotInstalled: pygame is not installed.
    """
    env = _drawing(env_id)
    env.state = np.asarray(state, np.float64)
    return env.render()


@functools.cache
def _drawing(env_id: str) -> Any:
    return gymnasium.make(env_id, render_mode="rgb_array", disable_env_checker=True).unwrapped
