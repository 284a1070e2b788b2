"""A document as an HTML page: a single file that loads nothing and runs no script."""

import base64
import functools
import importlib.resources
import itertools
from collections.abc import Callable, Iterable, Sequence
from html import escape

import numpy as np

from frankrl.core.bar_scale import advantages, place, scale_of
from frankrl.explaining.document import (
    Block,
    Cell,
    Document,
    Formula,
    Histogram,
    Line,
    NamedValues,
    Picture,
    Pictures,
    Section,
    Table,
    Vectors,
)
from frankrl.explaining.numerals import written
from frankrl.explaining.png import png

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_CHARACTER, _ROW, _LONGEST_BAR, _COUNT = 7, 22, 200, 50
"""Sizes in a histogram: width of a letter, height of a row, the longest bar, room for a count."""
_LEAST_SIDE = 160
"""A smaller picture grows by a whole factor, up to the first at which its longer side reaches this.
[pixels]"""

Address = Callable[[bytes], str]
"""Gives the address at which a page finds a PNG file."""


def as_html(document: Document) -> str:
    """The page; every text that comes from a run is escaped."""
    style = importlib.resources.files("frankrl.explaining").joinpath("page.css").read_text("utf-8")
    title = escape(document.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
<p>{escape(document.about)}</p>
</header>
{sections_html(document)}
</main>
</body>
</html>
"""


def _in_itself(file: bytes) -> str:
    """The address of a PNG file that holds all of it."""
    return f"data:image/png;base64,{base64.b64encode(file).decode('ascii')}"


def sections_html(document: Document, address: Address = _in_itself) -> str:
    """The sections alone, for a page with its own head and style sheet.

    Args:
        document: the document.
        address: gives the address of a picture's file; by default the page itself holds it.
    """
    section = functools.partial(_section, address)
    return "\n".join(map(section, document.sections, itertools.count()))


def _section(address: Address, section: Section, number: int) -> str:
    blocks = "\n".join(_block(block, address) for block in section.blocks)
    return f"""<section aria-labelledby="section-{number}">
<h2 id="section-{number}">{escape(section.title)}</h2>
{blocks}
</section>"""


def _block(block: Block, address: Address) -> str:
    match block:
        case Line(text):
            return f"<p>{escape(text)}</p>"
        case Formula(parts):
            return f'<p class="formula">{"".join(map(_part, parts))}</p>'
        case Vectors():
            return _vectors(block)
        case NamedValues():
            return _named_values(block)
        case Table():
            return _table(block)
        case Histogram():
            return _histogram(block)
        case Pictures():
            return _pictures(block, address)


def _part(part: Cell) -> str:
    return escape(part) if isinstance(part, str) else f"<b>{written(part)}</b>"


def _vectors(block: Vectors) -> str:
    rows = [
        f"<tr>{_row_head(label)}{''.join(map(_cell, values))}</tr>" for label, values in block.rows
    ]
    head = _head(("", *block.names), ("", *block.rows[0][1]))
    called = " and ".join(label for label, _ in block.rows)
    return _scrolling(called, f"<table>\n{head}\n{_body(rows)}\n</table>")


def _named_values(block: NamedValues) -> str:
    if block.are_probabilities:
        bars, drawn = [_bar(0.0, value, zero=0) for value in block.values], ""
    else:
        scale = scale_of(block.values)
        bars = [_advantage_bar(below, scale) for below in advantages(block.values)]
        drawn = f"{escape(block.symbol)} − max {escape(block.symbol)}, {_scale_in_words(scale)}"
    rows = [
        f"<tr{_marked_class(block, number)}>{_row_head(name, _mark(block, number))}"
        f"{_cell(value)}<td>{bar}</td></tr>"
        for number, (name, value, bar) in enumerate(
            zip(block.names, block.values, bars, strict=True)
        )
    ]
    head = (
        '<colgroup><col class="name"><col class="size"><col></colgroup>\n'
        '<thead><tr><th scope="col">action</th><th scope="col" class="number">'
        f'{escape(block.heading)}</th><th scope="col" class="scale">{drawn}</th></tr></thead>'
    )
    return f'<table class="values">\n{head}\n{_body(rows)}\n</table>'


def _scale_in_words(scale: float) -> str:
    return f"−{scale:g} … 0" if scale else "all equal"


def _table(block: Table) -> str:
    rows = [
        f"<tr{_marked_class(block, number)}>{_row_head(row[0], _mark(block, number))}"
        f"{''.join(map(_cell, row[1:]))}</tr>"
        for number, row in enumerate(block.rows)
    ]
    caption = f"<caption>{escape(block.caption)}</caption>"
    head = _head(block.header, ("", *block.rows[0][1:]))
    table = f"<table>\n{caption}\n{head}\n{_body(rows)}\n</table>"
    return _scrolling(block.caption, table)


def _scrolling(called: str, table: str) -> str:
    """A table that scrolls on its own where the window is too narrow."""
    return (
        f'<div class="scrolling" role="region" tabindex="0" aria-label="{escape(called)}">\n'
        f"{table}\n</div>"
    )


def _head(names: Sequence[str], below: Sequence[Cell]) -> str:
    """The column names, aligned like the cells below them."""
    cells = (
        f'<th scope="col"{_kind(cell)}>{escape(name)}</th>' if name else "<td></td>"
        for name, cell in zip(names, below, strict=True)
    )
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def _body(rows: Iterable[str]) -> str:
    return "<tbody>\n" + "\n".join(rows) + "\n</tbody>"


def _row_head(cell: Cell, mark: str = "") -> str:
    return f'<th scope="row">{escape(written(cell))}{mark}</th>'


def _cell(cell: Cell) -> str:
    return f"<td{_kind(cell)}>{escape(written(cell))}</td>"


def _kind(cell: Cell) -> str:
    return "" if isinstance(cell, str) else ' class="number"'


def _mark(block: NamedValues | Table, number: int) -> str:
    return f" <mark>{escape(block.mark)}</mark>" if number == block.marked else ""


def _marked_class(block: NamedValues | Table, number: int) -> str:
    return ' class="marked"' if number == block.marked else ""


def _advantage_bar(advantage: float | None, scale: float) -> str:
    """The bar of Q − max Q, from its place on the scale to 0 at the right.

    An action that is not allowed has no bar.
    """
    return "" if advantage is None else _bar(place(advantage, scale), 1.0, zero=100)


def _bar(start: float, end: float, *, zero: int) -> str:
    """A bar between two places from 0 to 1, with a line at zero, a place from 0 to 100.

    It is hidden from screen readers, which read the number instead.
    """
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect x="{100 * start:.2f}" y="1" width="{100 * (end - start):.2f}" height="8"/>'
        f'<line x1="{zero}" x2="{zero}" y1="0" y2="10"/></svg>'
    )


def _histogram(block: Histogram) -> str:
    edges = [*map(written, block.edges)]
    labels = [f"{low} … {high}" for low, high in itertools.pairwise(edges)]
    most, start = max(block.counts), _CHARACTER * max(map(len, labels)) + 8
    width, height = start + _LONGEST_BAR + _COUNT, _ROW * len(labels)
    rows = []
    for number, (label, count) in enumerate(zip(labels, block.counts, strict=True)):
        top, length = _ROW * number, _LONGEST_BAR * count / most
        rows.append(
            f'<text x="{start - 8}" y="{top + 15}" text-anchor="end">{label}</text>'
            f'<rect x="{start}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 6}"/>'
            f'<text x="{start + length + 6:.1f}" y="{top + 15}">{count:,}</text>'
        )
    counts = "; ".join(
        f"{label}: {count:,}" for label, count in zip(labels, block.counts, strict=True)
    )
    caption = escape(block.caption)
    return f"""<figure>
<figcaption>{caption}</figcaption>
<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{caption}: {counts}">
{chr(10).join(rows)}
</svg>
</figure>"""


def _pictures(block: Pictures, address: Address) -> str:
    shown = "\n".join(_picture(picture, block.caption, address) for picture in block.pictures)
    return f'<ul class="pictures" aria-label="{escape(block.caption)}">\n{shown}\n</ul>'


def _picture(picture: Picture, caption: str, address: Address) -> str:
    height, width = picture.height, picture.width
    pixels = np.frombuffer(picture.pixels, np.uint8).reshape(height, width, 3)
    source, factor = escape(address(png(pixels))), max(1, -(-_LEAST_SIDE // max(height, width)))
    shown = f"<span>{escape(picture.label)}</span>" if picture.label else ""
    alternative = escape(": ".join(filter(None, (caption, picture.label))))
    return (
        f'<li><img src="{source}" width="{factor * width}" height="{factor * height}" '
        f'alt="{alternative}">{shown}</li>'
    )
