"""What the network sees, beside the environment's picture: the pictures of an observation."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from frankrl.video.lettering import Lettering
from frankrl.video.load_pygame import load_pygame
from frankrl.video.panel import BACKGROUND, QUIET

_HEAD, _LABEL, _FOOT, _GAP, _MARGIN = 34, 20, 24, 8, 16
"""Heights of the title, of a picture's name and of the line below, and the space between pictures
and on the left."""
_MAX_WIDTH, _MAX_HEIGHT, _GIF_WIDTH = 400, 480, 200
_TITLE = "what the network sees"


class SeenPicture(NamedTuple):
    """A picture that the network sees."""

    name: str
    picture: UInt8[np.ndarray, "height width 3"]


class NetworkView:
    """Draws the pictures of an observation in a grid, each enlarged by the same whole factor."""

    def __init__(self, seen: Sequence[SeenPicture], note: str, height: int, zoom: float) -> None:
        """Compute the layout.

        Args:
            seen: pictures of some observation; those of all others have the same names and sizes.
            note: what is said below them; empty: nothing.
            height: height of the frame without this view. [px]
            zoom: scale factor of the text; less than 1 for a .gif.
        """
        self._pygame, self._lettering = load_pygame(), Lettering(zoom)
        px = self._lettering.px
        self._note, self._foot = note, px(_FOOT) if note else 0
        self._label = px(_LABEL) if any(one.name for one in seen) else 0
        side = [max(one.picture.shape[axis] for one in seen) for axis in (0, 1)]
        most_wide = _GIF_WIDTH if zoom < 1 else _MAX_WIDTH
        most_high = max(height, px(_MAX_HEIGHT)) - px(_HEAD) - self._foot

        def factor(columns: int) -> float:
            """How much the pictures can be enlarged in so many columns."""
            rows = math.ceil(len(seen) / columns)
            high = (most_high / rows - self._label) / side[0]
            return min(high, ((most_wide + px(_GAP)) / columns - px(_GAP)) / side[1])

        # Of equal whole factors, the fewest columns.
        choices = range(1, len(seen) + 1)
        self._columns = max(choices, key=lambda columns: (_whole(factor(columns)), -columns))
        self._factor = _whole(factor(self._columns))
        self._cell = [max(round(length * self._factor), 1) for length in side]
        rows = math.ceil(len(seen) / self._columns)
        grid = self._columns * (self._cell[1] + px(_GAP)) - px(_GAP)
        self.width = px(_MARGIN) + max(grid, self._lettering.width(_TITLE, 18))
        self.least_height = px(_HEAD) + rows * (self._cell[0] + self._label) + self._foot

    def draw(self, target: Any, seen: Sequence[SeenPicture]) -> None:
        """Fill a surface of the view's width with the pictures of one observation."""
        px, write = self._lettering.px, self._lettering.write
        target.fill(BACKGROUND)
        left, top = px(_MARGIN), (target.get_height() - self.least_height) // 2
        write(target, _TITLE, 18, QUIET, left, top + px(_HEAD) // 2)
        top += px(_HEAD)
        for place, (name, picture) in enumerate(seen):
            row, column = divmod(place, self._columns)
            x = left + column * (self._cell[1] + px(_GAP))
            y = top + row * (self._cell[0] + self._label)
            target.blit(self._enlarged(picture), (x, y))
            name = self._lettering.fitted(name, 16, self._cell[1])
            write(target, name, 16, QUIET, x, y + self._cell[0] + self._label // 2)
        if self._note:
            note = self._lettering.fitted(self._note, 16, self.width - left)
            y = top - px(_HEAD) + self.least_height - self._foot // 2
            write(target, note, 16, QUIET, left, y)

    def _enlarged(self, picture: UInt8[np.ndarray, "height width 3"]) -> Any:
        height, width = picture.shape[:2]
        drawn = self._pygame.image.frombuffer(picture.tobytes(), (width, height), "RGB")
        if self._factor == 1:
            return drawn
        transform = self._pygame.transform
        scaled = transform.scale if self._factor > 1 else transform.smoothscale
        size = (max(round(length * self._factor), 1) for length in (width, height))
        return scaled(drawn, tuple(size))


def _whole(factor: float) -> float:
    """A factor rounded down to a whole one; one below 1, for a large picture, as it is."""
    return float(math.floor(factor)) if factor >= 1 else factor
