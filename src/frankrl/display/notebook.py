"""What a notebook shows of work while it is done: one output, drawn again in place.

IPython's own display is enough for that. The live display of `rich` would need `ipywidgets`, and
draws from a thread of its own.
"""

import sys
import time
from collections.abc import Iterable
from typing import Any

from frankrl.display.training import Display, event_line, named_figures
from frankrl.inline.block import as_text, html_block
from frankrl.training import Evaluated, Event, Progress, Trainer

_LEAST_SECONDS = 0.2
"""Between two drawings, each of which is a message to the browser."""
_MAX_LINES = 20
"""Newest lines that are shown."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class Cell:
    """An output of the running cell that is drawn again in place."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn_at = 0.0

    def draw(self, html: str, *, now: bool = False) -> None:
        """Replace what the output shows.

        Args:
            html: what it is to show, as HTML.
            now: draw it, however short the time since the last drawing is.
        """
        from IPython.display import HTML, display

        moment = time.monotonic()
        if not now and moment - self._drawn_at < _LEAST_SECONDS:
            return
        self._drawn_at = moment
        if self._handle is None:
            self._handle = display(HTML(html), display_id=True)
        else:
            self._handle.update(HTML(html))


def bar(done: int, of: int, unit: str) -> str:
    """A progress bar as HTML.

    Args:
        done: how many are done.
        of: how many there are.
        unit: what is counted, in the plural.
    """
    return (
        f'<progress value="{done}" max="{max(of, 1)}"></progress> '
        f"{done:,} of {of:,} {as_text(unit)}"
    )


class NotebookDisplay(Display):
    """A progress bar and the newest numbers, drawn again in place; other lines stay below them."""

    def __init__(self) -> None:
        self._cell = Cell()
        self._lines: list[str] = []
        self._newest: Progress | None = None
        self._done = self._total = 0
        self._episodes: tuple[int, int] | None = None
        self._note = ""

    def begin(self, training: Trainer) -> None:
        """Say what is about to happen and show the bar."""
        self._done, self._total = training.ticks, training.settings.budget
        super().begin(training)
        self._draw(now=True)

    def show(self, event: Event) -> None:
        """Take the newest numbers; evaluations and other lines stay."""
        if isinstance(event, Progress):
            self._newest, self._done = event, event.env_steps
        elif line := event_line(event, self.clock):
            self.log(line)
        if isinstance(event, Evaluated):
            self._episodes = None
        self._draw()

    def show_episodes(self, done: int, of: int) -> None:
        """Move the bar of an evaluation, which is there while one is played."""
        self._episodes = (done, of) if done < of else None
        self._draw()

    def note(self, text: str) -> None:
        """Show a line below the bars, from the next time they are drawn."""
        self._note = text

    def log(self, text: str) -> None:
        """Add a line."""
        self._lines = [*self._lines, text][-_MAX_LINES:]

    def end(self, lines: Iterable[str]) -> None:
        """Leave the lines, with the result below them."""
        super().end(lines)
        self._cell.draw(self._text(), now=True)
        self._total = 0

    def close(self) -> None:
        """Leave what is known where the training has ended without a result."""
        if self._total:
            self._draw(now=True)

    def _draw(self, *, now: bool = False) -> None:
        if not self._total:
            return
        parts = [bar(self._done, self._total, self.clock)]
        if self._episodes is not None:
            parts.append(bar(*self._episodes, "episodes"))
        if self._newest is not None:
            parts.append(html_block("", named_figures(self._newest, self.clock)))
        if self._note:
            parts.append(as_text(self._note))
        self._cell.draw("<br>".join([*parts, self._text()]), now=now)

    def _text(self) -> str:
        return f"<pre>{chr(10).join(map(as_text, self._lines))}</pre>"
