"""The newest observations of several environments, as the network gets them."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from frankrl.environments.spec import EnvironmentSpec

_TIMES = 4
"""Length of the window in which a stack moves, as a multiple of the stack."""


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
        self._count = spec.preprocessing.frame_stack
        self._is_stack = self._count > 1
        self._spec = spec
        in_front = (num_envs, self._count * _TIMES) if self._is_stack else (num_envs,)
        self._window = np.zeros((*in_front, *spec.row_shape), spec.row_dtype)
        self._newest = self._count - 1
        """Place in the window of the newest observations."""

    def begin(self, indices: list[int], rows: Shaped[np.ndarray, "some *row"]) -> None:
        """Begin episodes in some environments, with these observations."""
        if self._is_stack:
            self._rows[indices] = np.zeros((), self._window.dtype)
            self._rows[indices, -1] = rows
        else:
            self._window[indices] = rows

    def push(self, rows: Shaped[np.ndarray, "some *row"], indices: list[int] | None = None) -> None:
        """Add the next observations of some environments; the oldest ones go.

        Args:
            rows: the observations.
            indices: the environments that they are of; None: all, in order.
        """
        which = slice(None) if indices is None else indices
        if not self._is_stack:
            self._window[which] = rows
            return
        if indices is None:
            self._slide()
        else:
            self._rows[indices, :-1] = self._rows[indices, 1:]
        self._rows[which, -1] = rows

    def _slide(self) -> None:
        """Move on by one place; only at the end of the window are observations copied."""
        kept = self._count - 1
        if self._newest + 1 == self._window.shape[1]:
            self._window[:, :kept] = self._window[:, -kept:]
            self._newest = kept - 1
        self._newest += 1

    @property
    def _rows(self) -> Shaped[np.ndarray, "env stack *row"]:
        return self._window[:, self._newest - self._count + 1 : self._newest + 1]

    @property
    def observation(self) -> Any:
        """The observations of all environments: a pytree of views of shape (env, …), or
        (env, stack, …) with the oldest first. They are valid until the next `push`."""
        return self._spec.observation(self._rows if self._is_stack else self._window)

    @property
    def mask(self) -> Bool[np.ndarray, "env action"] | None:
        """Which actions are allowed now, as a view; None without action masks."""
        return self._spec.action_mask(self._rows[:, -1] if self._is_stack else self._window)
