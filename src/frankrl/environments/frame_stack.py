"""The newest observations of several environments, as the network gets them."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from frankrl.environments.spec import EnvironmentSpec


class FrameStack:
    """The newest observations of running episodes; zeros stand before the start of an episode.

    Without stacking, an observation is the current one, without an axis more.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int) -> None:
        """All zeros; begin an episode in each environment.

        Args:
            spec: the environment; its preprocessing says how many observations are stacked.
            num_envs: number of environments.
        """
        count = spec.preprocessing.frame_stack
        self._is_stack = count > 1
        in_front = (num_envs, count) if self._is_stack else (num_envs,)
        self._rows = np.zeros((*in_front, *spec.row_shape), spec.row_dtype)
        self._spec = spec

    def begin(self, indices: list[int], rows: Shaped[np.ndarray, "some *row"]) -> None:
        """Begin episodes in some environments, with these observations."""
        if not self._is_stack:
            self._rows[indices] = rows
            return
        self._rows[indices] = np.zeros((), self._rows.dtype)
        self._rows[indices, -1] = rows

    def push(self, indices: list[int], rows: Shaped[np.ndarray, "some *row"]) -> None:
        """Add the next observations of some environments; the oldest ones go."""
        if not self._is_stack:
            self._rows[indices] = rows
            return
        if len(indices) == len(self._rows):
            self._rows[:, :-1] = self._rows[:, 1:]
        else:
            self._rows[indices, :-1] = self._rows[indices, 1:]
        self._rows[indices, -1] = rows

    @property
    def observation(self) -> Any:
        """The observations of all environments: a pytree of views of shape (env, …), or
        (env, stack, …) with the oldest first."""
        return self._spec.observation(self._rows)

    @property
    def mask(self) -> Bool[np.ndarray, "env action"] | None:
        """Which actions are allowed now, as a view; None without action masks."""
        return self._spec.action_mask(self._rows[:, -1] if self._is_stack else self._rows)
