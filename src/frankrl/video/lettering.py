"""Text on frames, in the font that pygame ships, so that films look alike on every machine."""

import functools
from typing import Any

from frankrl.video.load_pygame import load_pygame

Colour = tuple[int, int, int]

_FINER = 3
"""Text is drawn larger by this factor and then shrunk, which spaces small letters evenly."""


class Lettering:
    """Writes lines of text at one zoom."""

    def __init__(self, zoom: float) -> None:
        """Load the font.

        Args:
            zoom: scale factor of all sizes; less than 1 for a .gif.
        """
        self._pygame = load_pygame()
        self._zoom = zoom
        self._font = functools.cache(self._make_font)
        self._text = functools.lru_cache(maxsize=256)(self._make_text)

    def px(self, size: float) -> int:
        """A size of the layout in pixels of the frame."""
        return round(size * self._zoom)

    def width(self, text: str, size: float) -> int:
        """Width of a line. [px]"""
        return self._font(self.px(size * _FINER)).size(text)[0] // _FINER

    def fitted(self, text: str, size: float, width: int) -> str:
        """The text, shortened with an ellipsis if it is too wide."""
        if self.width(text, size) <= width:
            return text
        while text and self.width(f"{text}…", size) > width:
            text = text[:-1]
        return f"{text.rstrip()}…"

    def write(
        self, target: Any, text: str, size: float, colour: Colour, x: int, y: int, to: str = "left"
    ) -> None:
        """Write one line, vertically centred on y, its left, centre or right at x."""
        if not text:
            # Shrinking a surface without width crashes pygame.
            return
        drawn = self._text(text, size, colour)
        side = {"left": "midleft", "centre": "center", "right": "midright"}[to]
        target.blit(drawn, drawn.get_rect(**{side: (x, y)}))

    def _make_text(self, text: str, size: float, colour: Colour) -> Any:
        fine = self._font(self.px(size * _FINER)).render(text, True, colour)
        width, height = (max(side // _FINER, 1) for side in fine.get_size())
        return self._pygame.transform.smoothscale(fine, (width, height))

    def _make_font(self, size: int) -> Any:
        return self._pygame.font.Font(None, size)
