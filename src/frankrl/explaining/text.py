"""A document as lines for a terminal."""

import itertools
from collections.abc import Iterable, Sequence

from frankrl.explaining.document import (
    Block,
    Document,
    Formula,
    Histogram,
    Line,
    NamedValues,
    Pictures,
    Section,
    Table,
    Vectors,
)
from frankrl.explaining.numerals import written

_INDENT = "   "
_LONGEST_BAR = 40
_NUMBER = 9
"""Least width of a number, so that numbers of several lists are aligned. [characters]"""


def as_text(document: Document) -> list[str]:
    """The lines of a document, without the sections that are too wide for a terminal."""
    lines = [document.title, document.about]
    for section in document.sections:
        if not section.too_wide_for_terminals:
            lines += ["", *_section(section)]
    return lines


def _section(section: Section) -> list[str]:
    lines = (line for block in section.blocks for line in _block(block))
    return [section.title, *(f"{_INDENT}{line}".rstrip() for line in lines)]


def _block(block: Block) -> list[str]:
    match block:
        case Line(text):
            return [text]
        case Formula(parts):
            return ["".join(map(written, parts))]
        case Vectors():
            return _vectors(block)
        case NamedValues():
            return _named_values(block)
        case Table():
            return _table(block)
        case Histogram():
            return _histogram(block)
        case Pictures():
            return []


def _vectors(block: Vectors) -> list[str]:
    width = _widest(label for label, _ in block.rows)
    return [
        f"{label:{width}} = "
        + ", ".join(
            value if isinstance(value, str) else f"{name} {written(value)}"
            for name, value in zip(block.names, values, strict=True)
        )
        for label, values in block.rows
    ]


def _named_values(block: NamedValues) -> list[str]:
    width, values = _widest(block.names), [*map(written, block.values)]
    digits = max(_NUMBER, _widest(values))
    return [
        f"{name:{width}}  {value:>{digits}}" + _mark(block, number)
        for number, (name, value) in enumerate(zip(block.names, values, strict=True))
    ]


def _table(block: Table) -> list[str]:
    rows: list[Sequence[str]] = [block.header, *([*map(written, row)] for row in block.rows)]
    widths = [_widest(column) for column in zip(*rows, strict=True)]
    # The header is row 0 here.
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        + _mark(block, number - 1)
        for number, row in enumerate(rows)
    ]


def _histogram(block: Histogram) -> list[str]:
    edges = [*map(written, block.edges)]
    width, most = _widest(edges), max(block.counts)
    return [
        f"{block.caption}:",
        *(
            f"{low:>{width}} … {high:<{width}} {'█' * round(_LONGEST_BAR * count / most)} {count:,}"
            for count, (low, high) in zip(block.counts, itertools.pairwise(edges), strict=True)
        ),
    ]


def _mark(block: NamedValues | Table, number: int) -> str:
    return f"  ← {block.mark}" if number == block.marked else ""


def _widest(words: Iterable[str]) -> int:
    return max(map(len, words))
