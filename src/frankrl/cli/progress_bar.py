"""A bar for work that the terminal waits for."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(doing: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while the block runs; nothing where that is no terminal.

    Args:
        doing: what is being done.
        unit: what is counted, in the plural.

    Yields:
        A function that takes how many are done and how many there are.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda done, of: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn(doing),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} " + unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(doing, total=None, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=True)
