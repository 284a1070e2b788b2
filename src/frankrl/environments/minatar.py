"""MinAtar's games: five Atari games on 10 × 10 squares, a plane of bits for each kind of thing.

Source: Young and Tian (2019). https://arxiv.org/abs/1903.03176
"""

from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, UInt8

from frankrl.environments.extras import imported

_PREFIX = "MinAtar/"
_SQUARE, _FRAMES_PER_SECOND = 16, 20
"""Side of a square in films, and how fast MinAtar itself shows its games. [pixels, frames/s]"""
_WORDS = {"n": "do nothing", "l": "left", "u": "up", "r": "right", "d": "down", "f": "fire"}
_HELIX = np.array([[-0.14861, -0.29227, 1.97294], [1.78277, -0.90649, 0.0]])
"""The plane of the cube helix in red, green and blue (Green 2011)."""


def is_minatar(env_id: str) -> bool:
    """Whether a name is that of one of MinAtar's games."""
    return env_id.startswith(_PREFIX)


def register_minatar(env_id: str) -> None:
    """Register MinAtar's games with Gymnasium.

    Raises:
        MissingExtraError: MinAtar is not installed.
    """
    games: Any = imported("minatar.gym", env_id, "minatar", "minatar")
    if not any(is_minatar(known) for known in gymnasium.registry):
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
        """The squares in the colours of MinAtar's own display, which needs seaborn."""
        state = self._game.state()
        colours = np.concatenate([np.zeros((1, 3)), _cube_helix(state.shape[2])])
        topmost = np.max(state * np.arange(1, state.shape[2] + 1), axis=2)
        picture = np.round(255 * colours[topmost]).astype(np.uint8)
        return picture.repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)


def _cube_helix(count: int) -> Float[np.ndarray, "colour 3"]:
    """Colours that become evenly brighter. Source: Green (2011). https://arxiv.org/abs/1108.5083"""
    brightness = np.linspace(0, 1, count + 2)[1:-1, None]
    angle = 2 * np.pi * (0.5 / 3 - 1.5 * brightness)
    turned = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) @ _HELIX
    return np.clip(brightness + brightness * (1 - brightness) / 2 * turned, 0, 1)
