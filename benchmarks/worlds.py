"""Small worlds for `benchmarks.defaults`, as environments that Frank can train on.

`python -m benchmarks.defaults` names them `benchmarks.worlds:…`.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

_ROWS, _COLUMNS = 10, 5


class Catch(gymnasium.Env):
    """A ball falls by one row a step; at the bottom a paddle must be below it.

    The observation is the board, 1 where ball and paddle are. The only reward is 1 or -1 in the
    last step. Source: Mnih et al. (2014), section 4, https://arxiv.org/abs/1406.6247, in the size
    that bsuite has, https://github.com/google-deepmind/bsuite
    """

    observation_space = spaces.Box(0, 1, (_ROWS, _COLUMNS), np.float32)
    action_space = spaces.Discrete(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin with the ball in a random column of the top row."""
        super().reset(seed=seed)
        self._ball = [0, int(self.np_random.integers(_COLUMNS))]
        self._paddle = _COLUMNS // 2
        return self._board(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the paddle left, not at all, or right."""
        self._paddle = int(np.clip(self._paddle + action - 1, 0, _COLUMNS - 1))
        self._ball[0] += 1
        ended = self._ball[0] == _ROWS - 1
        reward = (1.0 if self._ball[1] == self._paddle else -1.0) if ended else 0.0
        return self._board(), reward, ended, False, {}

    def _board(self) -> np.ndarray:
        board = np.zeros((_ROWS, _COLUMNS), np.float32)
        board[*self._ball] = board[-1, self._paddle] = 1
        return board


def empty_room(**kwargs: Any) -> gymnasium.Env:
    """MiniGrid's empty room of 5 × 5, seen as its picture of numbers alone."""
    import minigrid.wrappers

    env = gymnasium.make("MiniGrid-Empty-5x5-v0", disable_env_checker=True, **kwargs)
    return minigrid.wrappers.ImgObsWrapper(env)


gymnasium.register("Catch-v0", Catch)
gymnasium.register("EmptyRoom-v0", empty_room)
