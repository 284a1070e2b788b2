"""Which display a training from Python has."""

import sys

from frankrl.display.notebook import NotebookDisplay, in_notebook
from frankrl.display.terminal import can_redraw
from frankrl.display.training import Display, LiveDisplay, PlainDisplay


def display_in_python(*, progress: bool) -> Display:
    """A display in a notebook or on a terminal; none where output goes elsewhere.

    A script whose output goes into a file gets its result as a value, so it prints what it likes.

    Args:
        progress: whether a display is wanted.
    """
    if progress and in_notebook():
        return NotebookDisplay()
    if progress and can_redraw(sys.stderr):
        return LiveDisplay(sys.stderr)
    return PlainDisplay(None)
