"""Tables on standard output: fitted to a terminal, and as plain columns anywhere else."""

import re
from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from frankrl.cli.output import print_result, results_stream
from frankrl.listing.columns import aligned

_LEFT_OUT_FIRST = ("final", "preset", "environment", "size", "seed", "solved at", "written", "best")
"""The columns that a narrow terminal can do without, by their titles."""
_GAP = 2
_LEAST_NAME = 28
"""Characters of the first column that count more than any other column."""


def print_table(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> None:
    """Print a table on standard output.

    Args:
        rows: the rows, the first of which is the head.
        numbers: indices of the columns that end in line.
    """
    stream = results_stream()
    if stream is None:
        return
    if not stream.isatty():
        for line in aligned(rows, numbers):
            print_result(line)
        return
    console = Console(file=stream, highlight=False)
    kept = fitting(rows, console.width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for i in kept:
        justify = "right" if i in numbers else "left"
        table.add_column(Text(rows[0][i]), justify=justify, no_wrap=i in numbers, overflow="fold")
    room = console.width - sum(max(cell_len(row[i]) for row in rows) + _GAP for i in kept[1:])
    for row in rows[1:]:
        table.add_row(Text(folded(row[0], room)), *(Text(row[i]) for i in kept[1:]))
    console.print(table)
    if left := [title for i, title in enumerate(rows[0]) if i not in kept]:
        console.print(Text(f"(left out in this width: {', '.join(left)})", style="dim"))


def folded(path: str, width: int) -> str:
    """A path on lines of a width, which end after a slash or a hyphen where they can.

    Args:
        path: the path.
        width: width of its column. [characters]
    """
    lines = [""]
    for part in re.findall(r"[^/-]*[/-]?", path):
        if cell_len(lines[-1] + part) > width and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def fitting(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Indices of the columns that fit into a width; the first one may be folded.

    Args:
        rows: the rows, the first of which is the head.
        width: width of the terminal. [characters]
    """
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    widths[0] = min(widths[0], _LEAST_NAME)
    kept = list(range(len(widths)))
    for title in _LEFT_OUT_FIRST:
        if sum(widths[i] + _GAP for i in kept) - _GAP <= width:
            break
        kept = [i for i in kept if rows[0][i] != title]
    return kept
