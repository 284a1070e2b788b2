"""Repeat after me: a probe world that only a memory can play, with exact Q-values."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Int, UInt8

DELAY, NUM_SYMBOLS = 4, 2
MAX_STEPS = 64
REWARD_THRESHOLD = 60.0
"""The optimal policy has a return of 64. Guesses among two symbols have 32 in the mean."""
MAX_DELAY, MAX_SYMBOLS = 10_000, 10_000
_PIXELS = 24
_PAPER, _BETWEEN, _SHOWN, _WANTED = (
    (238, 240, 243),
    (150, 156, 164),
    (0, 114, 178),
    (213, 94, 0),
)


class RepeatAfterMe(gymnasium.Env[Any, Any]):
    """Each step shows a random symbol. The right action is the symbol shown `delay` steps ago.

    The right action has reward 1, every other one 0. Before an episode's first symbol stands
    symbol 0, as often as needed. An episode is truncated after 64 steps and never terminates. With
    delay 0 the right action is in sight.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self, delay: int = DELAY, num_symbols: int = NUM_SYMBOLS, render_mode: str | None = None
    ) -> None:
        """Make the world.

        Args:
            delay: how long a symbol must be remembered. [steps]
            num_symbols: number of symbols, all equally likely, and of actions.
            render_mode: `rgb_array` or none.

        Raises:
            ValueError: a number is out of its range.
        """
        check(delay, num_symbols)
        self.render_mode = render_mode
        self.observation_space = spaces.Discrete(num_symbols)
        self.action_space = spaces.Discrete(num_symbols)
        self._num_symbols = num_symbols
        self._recent = np.zeros(delay + 1, np.int32)
        """The newest symbols, the oldest first."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed, options=options)
        self._recent[:] = 0
        return self._next_symbol(), {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Pay the action and show the next symbol."""
        reward = float(int(action) == self._recent[0])
        return self._next_symbol(), reward, False, False, {}

    def render(self) -> Any:
        """What was shown, up to the symbol that must be repeated now."""
        if self.render_mode is None:
            return None
        return picture(self._recent, self._num_symbols)

    def _next_symbol(self) -> int:
        self._recent[:-1] = self._recent[1:]
        self._recent[-1] = self.np_random.integers(self._num_symbols)
        return int(self._recent[-1])


def check(delay: int, num_symbols: int) -> None:
    """Refuse numbers out of range.

    Raises:
        ValueError: one is.
    """
    for name, value, low, high in (
        ("delay", delay, 0, MAX_DELAY),
        ("num_symbols", num_symbols, 2, MAX_SYMBOLS),
    ):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not is_whole or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high:,}, got {value!r}")


def exact_q_values(
    shown: Int[np.ndarray, " time"], delay: int, num_symbols: int, gamma: float
) -> Float[np.ndarray, "time action"]:
    """The Q-values of the best policy after each symbol of an episode.

    Q(h, a) = 1[a is right] + γ / (1 - γ): the action decides on its own reward only, and the best
    policy is paid 1 in every later step, for ever, because time runs out but the world goes on.

    Args:
        shown: the symbols of the episode so far, from its first one on.
        delay: that of the world. [steps]
        num_symbols: that of the world.
        gamma: γ, below 1.
    """
    right = np.concatenate([np.zeros(delay, shown.dtype), shown])[: len(shown)]
    return (right[:, None] == np.arange(num_symbols)) + gamma / (1 - gamma)


def picture(
    recent: Int[np.ndarray, " time"], num_symbols: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A column for each of the newest symbols, the newest on the right; the left one is wanted.

    Args:
        recent: the newest symbols, the oldest first.
        num_symbols: number of rows.
    """
    cells = np.full((num_symbols, len(recent), 3), _PAPER, np.uint8)
    columns = np.arange(len(recent))
    cells[recent, columns] = _BETWEEN
    cells[recent[-1], -1] = _SHOWN
    cells[recent[0], 0] = _WANTED
    return cells.repeat(_PIXELS, axis=0).repeat(_PIXELS, axis=1)


def register() -> None:
    """Register the world in Gymnasium."""
    if "frankrl/RepeatAfterMe-v0" not in gymnasium.registry:
        gymnasium.register(
            id="frankrl/RepeatAfterMe-v0",
            entry_point="frankrl.environments.repeat_after_me:RepeatAfterMe",
            max_episode_steps=MAX_STEPS,
            reward_threshold=REWARD_THRESHOLD,
        )
