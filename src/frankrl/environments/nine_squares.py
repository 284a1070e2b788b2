"""The nine-square grid: small enough for a Q-table and for exact Q-values."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8

SIDE = 3
GOAL, PIT = 8, 4
GOAL_REWARD, PIT_REWARD, STEP_REWARD = 1.0, -1.0, -0.1
MAX_STEPS = 50
REWARD_THRESHOLD = 0.8
"""The optimal policy has a mean return of 0.87 over the start squares."""

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Change of row and column for up, right, down and left."""
MIRROR_OF_SQUARE = (0, 3, 6, 1, 4, 7, 2, 5, 8)
"""Each square's mirror image at the diagonal through pit and goal: rows become columns."""
MIRROR_OF_ACTION = (3, 2, 1, 0)
"""Each action's mirror image there: up becomes left, right becomes down."""
_PIXELS = 96
_COLOURS = {"square": (238, 240, 243), "goal": (0, 158, 115), "pit": (51, 51, 51)}
_LINE, _FRANK = (150, 156, 164), (213, 94, 0)

Outcome = tuple[float, int, float, bool]
"""Probability, next state, reward and whether the episode terminates."""


class NineSquares(gymnasium.Env[Any, Any]):
    """Three rows of three squares, numbered 0 to 8 by row; the actions are up, right, down, left.

    The last square is the goal (reward 1, terminal) and the middle one is a pit (reward -1,
    terminal). Any other step has reward -0.1; a step into a wall does not move. An episode
    begins on one of the seven other squares with equal probability and is truncated after
    50 steps.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        """Make the grid.

        Args:
            render_mode: `rgb_array`, `ansi` or none.
        """
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(SIDE * SIDE)
        self.action_space = spaces.Discrete(len(_MOVES))
        self.P = transitions()
        """Outcomes of every action in every state, as in Gymnasium's own grids."""
        self._square = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed, options=options)
        ordinary = [square for square in range(SIDE * SIDE) if square not in (GOAL, PIT)]
        self._square = int(self.np_random.choice(ordinary))
        return self._square, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """One step on the grid."""
        ((_, self._square, reward, terminated),) = self.P[self._square][int(action)]
        return self._square, reward, terminated, False, {}

    def render(self) -> Any:
        """The grid as a picture or as text, by the render mode."""
        if self.render_mode == "ansi":
            marks = {GOAL: "G", PIT: "O", self._square: "F"}
            squares = [marks.get(number, ".") for number in range(SIDE * SIDE)]
            return "\n".join(" ".join(squares[i : i + SIDE]) for i in range(0, SIDE * SIDE, SIDE))
        return self._picture() if self.render_mode == "rgb_array" else None

    def _picture(self) -> UInt8[np.ndarray, "height width 3"]:
        kinds = {GOAL: "goal", PIT: "pit"}
        picture = np.empty((SIDE * _PIXELS, SIDE * _PIXELS, 3), np.uint8)
        for number in range(SIDE * SIDE):
            top, left = (place * _PIXELS for place in divmod(number, SIDE))
            square = picture[top : top + _PIXELS, left : left + _PIXELS]
            square[:] = _LINE
            square[1:-1, 1:-1] = _COLOURS[kinds.get(number, "square")]
            if number == self._square:
                rows, columns = np.ogrid[:_PIXELS, :_PIXELS]
                middle = (_PIXELS - 1) / 2
                inside = (rows - middle) ** 2 + (columns - middle) ** 2 < (_PIXELS / 3.5) ** 2
                square[inside] = _FRANK
        return picture


def transitions() -> dict[int, dict[int, list[Outcome]]]:
    """Outcomes of every action in every state; goal and pit are never left."""
    table: dict[int, dict[int, list[Outcome]]] = {}
    for square in range(SIDE * SIDE):
        table[square] = {}
        for action, (down, right) in enumerate(_MOVES):
            row, column = (
                min(max(place + move, 0), SIDE - 1)
                for place, move in zip(divmod(square, SIDE), (down, right), strict=True)
            )
            arrived = row * SIDE + column
            reward = {GOAL: GOAL_REWARD, PIT: PIT_REWARD}.get(arrived, STEP_REWARD)
            outcome = (1.0, arrived, reward, arrived in (GOAL, PIT))
            if square in (GOAL, PIT):
                outcome = (1.0, square, 0.0, True)
            table[square][action] = [outcome]
    return table


def register() -> None:
    """Register the grid in Gymnasium."""
    if "frankrl/NineSquares-v0" not in gymnasium.registry:
        gymnasium.register(
            id="frankrl/NineSquares-v0",
            entry_point="frankrl.environments.nine_squares:NineSquares",
            max_episode_steps=MAX_STEPS,
            reward_threshold=REWARD_THRESHOLD,
        )
