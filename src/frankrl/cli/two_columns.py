"""Names and their texts in two columns, wrapped to the terminal."""

import shutil
import textwrap
from collections.abc import Iterator

_WIDEST = 100


def text_width() -> int:
    """How wide a text may be: as wide as the terminal, but not too wide to read. [characters]"""
    return min(shutil.get_terminal_size((_WIDEST, 0)).columns, _WIDEST)


def entry(name: str, text: str, indent: int, width: int) -> Iterator[str]:
    """The lines of a name and its text; a word that is too long for a line is not broken.

    Args:
        name: the first column; if it does not fit there, it gets a line of its own.
        text: the second column.
        indent: where the second column begins. [characters]
        width: where lines end. [characters]
    """
    if len(name) >= indent:
        yield name
        name = ""
    lines = textwrap.wrap(text, width - indent, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        yield f"{name:{indent}}{line}"
        name = ""
