"""The layout of a frame: the environment's picture, what the network sees of it, and the panel."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from frankrl.video.load_pygame import load_pygame
from frankrl.video.network_view import NetworkView, SeenPicture
from frankrl.video.panel import BACKGROUND, Panel, PanelContent

_SMALL_PICTURE, _LEAST_HEIGHT = 300, 400
_MAX_WIDTH, _MAX_HEIGHT = 1280, 960
_GIF_ZOOM, _GIF_WIDTH, _GIF_HEIGHT = 0.7, 360, 300


def picture_size(height: int, width: int, *, small: bool) -> tuple[int, int]:
    """The size at which an environment's picture is shown.

    A tiny picture grows by a whole factor, so its pixels stay sharp squares. A picture that
    is too large for a film shrinks.

    Args:
        height: height of the environment's picture. [px]
        width: width of the environment's picture. [px]
        small: true for a .gif.

    Returns:
        Height and width. [px]
    """
    most_height, most_width = (_GIF_HEIGHT, _GIF_WIDTH) if small else (_MAX_HEIGHT, _MAX_WIDTH)
    if height > most_height or width > most_width:
        factor = min(most_height / height, most_width / width)
        return max(round(height * factor), 1), max(round(width * factor), 1)
    wanted = most_height if small else _LEAST_HEIGHT
    grow = math.floor if small else math.ceil
    factor = grow(wanted / height) if height < (wanted if small else _SMALL_PICTURE) else 1
    factor = max(min(factor, most_width // width), 1)
    return height * factor, width * factor


class FrameLayout:
    """Composes the frames of one film."""

    def __init__(
        self,
        picture_shape: tuple[int, int],
        seen: Sequence[SeenPicture],
        action_names: tuple[str, ...],
        caption: str,
        *,
        small: bool,
        note: str = "",
        output_name: str = "Q-value",
    ) -> None:
        """Compute the layout.

        Args:
            picture_shape: height and width of the environment's picture. [px]
            seen: the pictures that the network sees in some state; none: that part is left out.
            action_names: one for each action.
            caption: title of the panel.
            small: true for a .gif.
            note: what is said below the pictures that the network sees.
            output_name: what the network's output for an action is called.
        """
        self._pygame = load_pygame()
        zoom = _GIF_ZOOM if small else 1.0
        self._panel = Panel(action_names, caption, zoom, output_name)
        shown = picture_size(*picture_shape, small=small)
        self._shown = (shown[1], shown[0])
        least = self._panel.least_height if small else _LEAST_HEIGHT
        height = max(shown[0], self._panel.least_height, least)
        self._view = NetworkView(seen, note, height, zoom) if seen else None
        if self._view is not None:
            height = max(height, self._view.least_height)
        self._height = height + height % 2
        self._picture_width = shown[1] + shown[1] % 2
        width = self._picture_width + self._view_width + self._panel.width
        self._canvas = self._pygame.Surface((width + width % 2, self._height), depth=24)

    @property
    def _view_width(self) -> int:
        return self._view.width if self._view is not None else 0

    def frame(
        self,
        picture: UInt8[np.ndarray, "height width 3"],
        seen: Sequence[SeenPicture],
        content: PanelContent,
    ) -> UInt8[np.ndarray, "frame_height frame_width 3"]:
        """One frame of the film."""
        pygame = self._pygame
        self._canvas.fill(BACKGROUND)
        height, width = picture.shape[:2]
        drawn = pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        if self._shown != (width, height):
            whole = self._shown[0] % width == 0 and self._shown[1] % height == 0
            scaled = pygame.transform.scale if whole else pygame.transform.smoothscale
            drawn = scaled(drawn, self._shown)
        self._canvas.blit(drawn, (0, (self._height - self._shown[1]) // 2))
        left = self._picture_width
        if self._view is not None:
            view = self._canvas.subsurface((left, 0, self._view.width, self._height))
            self._view.draw(view, seen)
            left += self._view.width
        room = self._canvas.get_width() - left
        panel = self._canvas.subsurface((left, 0, room, self._height))
        self._panel.draw(panel, content)
        size = (self._height, self._canvas.get_width(), 3)
        raw = pygame.image.tobytes(self._canvas, "RGB")
        return np.frombuffer(raw, np.uint8).reshape(size)
