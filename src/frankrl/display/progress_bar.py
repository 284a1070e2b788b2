"""A bar for work that somebody waits for."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from frankrl.display.terminal import can_redraw

Show = Callable[[int, int], None]
"""Takes how many are done and how many there are."""


@contextlib.contextmanager
def progress_bar(doing: str, unit: str, *, progress: bool = True) -> Iterator[Show]:
    """A bar in a notebook or on standard error while the block runs; nothing elsewhere.

    Args:
        doing: what is being done.
        unit: what is counted, in the plural.
        progress: whether a bar is wanted.

    Yields:
        A function that takes how many are done and how many there are.
    """
    from frankrl.display.notebook import in_notebook

    if progress and in_notebook():
        with _in_cell(unit) as show:
            yield show
    elif progress and can_redraw(sys.stderr):
        with _on_terminal(doing, unit) as show:
            yield show
    else:
        yield lambda done, of: None


@contextlib.contextmanager
def _in_cell(unit: str) -> Iterator[Show]:
    from frankrl.display.notebook import Cell, bar

    cell = Cell()
    yield lambda done, of: cell.draw(bar(done, of, unit))
    cell.draw("", now=True)


@contextlib.contextmanager
def _on_terminal(doing: str, unit: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn(doing),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=True)
