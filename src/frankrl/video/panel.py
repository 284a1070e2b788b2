"""The panel of a film: Q-values, the chosen action, reward and return."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.core.bar_scale import SteadyScale, advantages, place
from frankrl.core.figures import counted, signed
from frankrl.video.lettering import Colour, Lettering
from frankrl.video.load_pygame import load_pygame

BACKGROUND: Colour = (22, 25, 31)
_RAISED: Colour = (44, 50, 62)
_TRACK: Colour = (33, 38, 47)
_LINE: Colour = (72, 80, 95)
_TEXT: Colour = (240, 242, 245)
QUIET: Colour = (160, 168, 182)
# Orange and blue of Okabe & Ito, which are distinguishable with every kind of colour vision.
_CHOSEN: Colour = (230, 159, 0)
_OTHER: Colour = (62, 130, 180)

MAX_ROWS = 24
"""Number of actions shown at most; of more, those of highest Q-value."""
_WIDTH, _MARGIN, _NAME, _VALUE = 400, 18, 128, 76
_TOP, _BOTTOM, _ROWS, _ROW_MIN, _ROW_MAX = 120, 128, 144, 18, 34
_BAR = _WIDTH - 2 * _MARGIN - 12 - _NAME - _VALUE
_LEAST_BAR = 3
"""Width of the bar of the best action, whose advantage is 0."""


def symbol_of(output_name: str) -> str:
    """What stands for an output of the network in a formula, by its name in words."""
    return "logit" if output_name == "logit" else "Q"


class PanelContent(NamedTuple):
    """The content of one frame of the panel."""

    episode: int
    """Number of the episode in the film, from 1."""
    episodes: int
    step: int
    """Env steps of the episode so far."""
    q_values: Float[np.ndarray, " action"]
    action: int
    reward: float
    episode_return: float
    """Undiscounted sum of rewards so far."""
    ended: bool


class Panel:
    """Draws the panel of one film."""

    def __init__(
        self,
        action_names: tuple[str, ...],
        caption: str,
        zoom: float = 1.0,
        output_name: str = "Q-value",
    ) -> None:
        """Prepare the panel.

        Args:
            action_names: one for each action.
            caption: title of the film; up to two lines are shown.
            zoom: scale factor of the whole panel; less than 1 for a .gif.
            output_name: what the network's output for an action is called.
        """
        self._pygame = load_pygame()
        self._names = action_names
        self._caption, self._output_name = caption, output_name
        self._zoom, self._lettering = zoom, Lettering(zoom)
        self._px = self._lettering.px
        self._scale = SteadyScale()
        self.width = self._px(_WIDTH)
        self.least_height = self._px(_TOP + _BOTTOM + max(_ROWS, self._num_rows * _ROW_MIN))

    def draw(self, target: Any, content: PanelContent) -> None:
        """Fill a surface of the panel's width with one frame's content."""
        target.fill(BACKGROUND)
        self._scale.include(content.q_values)
        self._draw_head(target, content)
        end = self._draw_bars(target, content)
        self._draw_foot(target, content, max(end, target.get_height() - self._px(_BOTTOM - 26)))

    def _draw_head(self, target: Any, content: PanelContent) -> None:
        left, right = self._px(_MARGIN), self.width - self._px(_MARGIN)
        for i, line in enumerate(self._caption_lines(right - left)):
            self._lettering.write(target, line, 21, _TEXT, left, self._px(22 + 22 * i))
        y = self._px(67)
        episode = f"episode {content.episode} of {content.episodes}"
        self._lettering.write(target, episode, 18, QUIET, left, y)
        self._lettering.write(target, f"step {content.step:,}", 18, QUIET, right, y, "right")
        y = self._px(84)
        self._pygame.draw.line(target, _LINE, (left, y), (right, y))
        name = self._output_name
        title = f"{name}s of the last decision" if content.ended else f"{name} of each action"
        hidden = len(self._names) - self._num_rows
        title = f"{title} (best {MAX_ROWS} of {len(self._names):,})" if hidden else title
        title = self._lettering.fitted(title, 17, right - left)
        self._lettering.write(target, title, 17, QUIET, left, self._px(103))

    def _draw_bars(self, target: Any, content: PanelContent) -> int:
        """Draw one row per action; returns where the rows and their axis end. [px]"""
        room = (target.get_height() - self._px(_TOP + _BOTTOM)) / self._num_rows
        height = int(min(max(room, self._px(_ROW_MIN)), self._px(_ROW_MAX)))
        top, below = self._px(_TOP), advantages(content.q_values)
        for row, action in enumerate(self._shown(content.q_values)):
            self._draw_row(target, top + row * height, height, action, content, below[action])
        bottom = top + self._num_rows * height
        self._draw_axis(target, top, bottom)
        return bottom + self._px(26)

    def _draw_row(
        self,
        target: Any,
        y: int,
        height: int,
        action: int,
        content: PanelContent,
        below: float | None,
    ) -> None:
        """Draw an action: its name, the bar of its advantage, and its Q-value."""
        draw, px, chosen = self._pygame.draw, self._px, action == content.action
        value, middle = float(content.q_values[action]), y + height // 2
        colour = _CHOSEN if chosen else _OTHER
        if chosen:
            draw.rect(target, _RAISED, (px(6), y, self.width - px(12), height), 0, px(4))
            half = min(px(6), height // 2 - 1)
            tip = (px(_MARGIN) + half, middle)
            draw.polygon(target, colour, [(px(10), middle - half), (px(10), middle + half), tip])
        size = min(19, 0.95 * height / self._zoom)
        text = _TEXT if chosen else QUIET
        name = self._lettering.fitted(self._names[action], size, px(_NAME) - px(14))
        self._lettering.write(target, name, size, text, px(_MARGIN + 12), middle)
        shown = "not allowed" if value == -math.inf else signed(value)
        self._lettering.write(target, shown, size, text, self.width - px(_MARGIN), middle, "right")
        thick = max(int(height * 0.56), 3)
        end, longest = self._bar_x(0.0), px(_BAR)
        draw.rect(target, _TRACK, (end - longest, middle - thick // 2, longest, thick))
        if below is not None:
            length = max(end - self._bar_x(below), px(_LEAST_BAR))
            draw.rect(target, colour, (end - length, middle - thick // 2, length, thick))

    def _draw_axis(self, target: Any, top: int, bottom: int) -> None:
        """Draw the line at zero, and under the bars what they show and the scale's ends."""
        zero, longest, y = self._bar_x(0.0), self._px(_BAR), bottom + self._px(11)
        self._pygame.draw.line(target, QUIET, (zero, top), (zero, bottom + self._px(2)))
        symbol = symbol_of(self._output_name)
        title = f"{symbol} − max {symbol}"
        self._lettering.write(target, title, 15, QUIET, zero - longest // 2, y, "centre")
        self._lettering.write(target, "0", 15, QUIET, zero, y, "centre")
        if self._scale.end:
            end = f"−{self._scale.end:g}"
            self._lettering.write(target, end, 15, QUIET, zero - longest, y, "centre")

    def _draw_foot(self, target: Any, content: PanelContent, top: int) -> None:
        left, px = self._px(_MARGIN), self._px
        right = self.width - left
        self._pygame.draw.line(target, _LINE, (left, top), (right, top))
        second = left + (right - left) // 2
        self._lettering.write(target, "reward of this step", 16, QUIET, left, top + px(14))
        self._lettering.write(target, signed(content.reward), 28, _TEXT, left, top + px(38))
        self._lettering.write(target, "return so far", 16, QUIET, second, top + px(14))
        self._lettering.write(
            target, signed(content.episode_return), 28, _TEXT, second, top + px(38)
        )
        if content.ended:
            box = self._pygame.Rect(left, top + px(60), right - left, px(34))
            self._pygame.draw.rect(target, _TEXT, box, 0, px(5))
            returned = signed(content.episode_return)
            text = f"ended: return {returned} in {counted(content.step, 'step')}"
            text = self._lettering.fitted(text, 19, box.width - px(12))
            self._lettering.write(target, text, 19, BACKGROUND, box.centerx, box.centery, "centre")

    @property
    def _num_rows(self) -> int:
        return min(len(self._names), MAX_ROWS)

    def _shown(self, q_values: np.ndarray) -> list[int]:
        """The actions that get a row: all in order, or the best ones if there are too many."""
        if len(q_values) <= MAX_ROWS:
            return list(range(len(q_values)))
        ranked = np.argsort(-np.nan_to_num(q_values, nan=np.inf), kind="stable")
        return [int(action) for action in ranked[:MAX_ROWS]]

    def _bar_x(self, advantage: float) -> int:
        along = place(advantage, self._scale.end)
        return self._px(_MARGIN + 12 + _NAME) + round(along * self._px(_BAR))

    def _caption_lines(self, width: int) -> list[str]:
        """The caption in at most two lines that fit."""
        words, first = self._caption.split(), ""
        while words and self._lettering.width(f"{first} {words[0]}".strip(), 21) <= width:
            first = f"{first} {words.pop(0)}".strip()
        rest = " ".join(words)
        lines = (first, rest) if first else (rest,)
        return [self._lettering.fitted(line, 21, width) for line in lines if line]
