"""MinAtar's games: five Atari games on 10 × 10 squares, a plane of bits for each kind of thing.

Source: Young and Tian (2019). https://arxiv.org/abs/1903.03176
"""

from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, UInt8

from frankrl.config.families import MINATAR
from frankrl.environments.extras import imported
from frankrl.environments.layer_colours import in_layers

_SQUARE, _FRAMES_PER_SECOND = 16, 20
"""Side of a square in films, and how fast MinAtar itself shows its games. [pixels, frames/s]"""
_WORDS = {"n": "do nothing", "l": "left", "u": "up", "r": "right", "d": "down", "f": "fire"}


def register_minatar(env_id: str) -> None:
    """Register MinAtar's games with Gymnasium.

    Raises:
        MissingExtraError: MinAtar is not installed.
    """
    games: Any = imported("minatar.gym", env_id, "minatar", "minatar")
    if not any(MINATAR.has(known) for known in gymnasium.registry):
        games.register_envs()


class RepeatableGame(gymnasium.Wrapper):
    """A game of which an episode depends on its seed and the actions only; it renders pictures.

    MinAtar keeps an episode's last action over the reset, so the first action of the next one
    could repeat it. Here nothing has been done before an episode's first action.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        """Wrap one of MinAtar's environments."""
        super().__init__(env)
        game: Any = env.unwrapped
        self._game, actions = game.game, game.game.env.action_map
        self.action_names = tuple(_WORDS[actions[action]] for action in game.action_set)
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": _FRAMES_PER_SECOND}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Bool[np.ndarray, "row column plane"], dict[str, Any]]:
        """Begin an episode."""
        self._game.last_action = 0
        return self.env.reset(seed=seed, options=options)

    def render(self) -> UInt8[np.ndarray, "height width 3"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The squares, the last kind of thing on top. MinAtar's own display needs seaborn."""
        picture = in_layers(self._game.state())
        return picture.repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)
