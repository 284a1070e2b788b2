"""A tiny world whose best-paid action is not always allowed; its Q-values are known."""

import gymnasium
import numpy as np
from gymnasium import spaces

PAYS = (-1.0, -0.5, 0.5)
"""Of the three actions, in every state."""
ALLOWED = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0]])
"""For each of the three states."""


class MaskedMDP(gymnasium.Env):
    """Three states in a row; whichever action is taken leads to the next one.

    It refuses to go on after an action that is not allowed.

    Args:
        where: the mask comes in the `info`, in the `observation` or from a `method`.
        end: `terminated`, or `truncated` back where it began.
        numbered: whether states are numbers rather than arrays.
        fault: what is wrong with the mask at step `at` of an episode.
        at: 0 is the reset.
        limit: steps of an episode.
        key: of the mask in the info or the observation.
    """

    action_space = spaces.Discrete(3, start=2)

    def __init__(
        self,
        where="info",
        end="terminated",
        numbered=False,
        fault="",
        at=-1,
        limit=3,
        key="action_mask",
    ) -> None:
        self.where, self.end, self.numbered, self.fault, self.at = where, end, numbered, fault, at
        self.limit, self.key = limit, key
        if where == "method":
            self.action_masks = self._allowed
        state = spaces.Discrete(3) if numbered else spaces.Box(0, 1, (2, 2), np.float32)
        self.observation_space = state
        if where == "observation":
            mask = spaces.Box(0, 1, (3,), np.int8)
            self.observation_space = spaces.Dict({key: mask, "observation": state})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = self.position = 0
        return self._told(ended=False)

    def step(self, action):
        index = action - self.action_space.start
        if not ALLOWED[self.position][index]:
            raise RuntimeError(f"action {action} is not allowed in state {self.position}")
        self.steps += 1
        self.position = (self.position + 1) % 3
        ended = self.steps == self.limit
        terminated = ended and self.end == "terminated"
        observation, info = self._told(ended=terminated)
        return observation, PAYS[index], terminated, ended and not terminated, info

    def _told(self, *, ended):
        number = self.position
        state = number if self.numbered else np.eye(4, dtype=np.float32)[number].reshape(2, 2)
        mask = np.zeros(3, np.int8) if ended else ALLOWED[number].astype(np.int8)
        if self.steps == self.at:
            mask = {
                "size": mask[:2],
                "value": mask * 2,
                "negative": -mask,
                "fraction": mask * 0.5,
                "missing": None,
                "none": mask * 0,
                "words": "all of them",
                "ragged": [[1], [1, 0]],
            }[self.fault]
        if self.where == "observation":
            return {"observation": state, self.key: mask}, {}
        return state, {} if mask is None or self.where == "method" else {self.key: mask}

    def _allowed(self):
        """As sb3-contrib asks for it: only in states in which an action is chosen."""
        if self.steps == self.limit:
            raise RuntimeError("nothing is chosen here any more")
        return ALLOWED[self.position].tolist()


class LateMask(MaskedMDP):
    """Says nothing of masks when it is reset, and then does."""

    def reset(self, **kwargs):
        return super().reset(**kwargs)[0], {}


if "MaskedMDP-v0" not in gymnasium.registry:
    gymnasium.register("MaskedMDP-v0", MaskedMDP)
    gymnasium.register("LateMask-v0", LateMask)
