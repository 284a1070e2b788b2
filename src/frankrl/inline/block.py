"""A title, named values and pictures as HTML inside a page of somebody else."""

from collections.abc import Iterable
from html import escape

from frankrl.core.text import MAX_MESSAGE, shown

_NAME_STYLE = "text-align:left;padding:0 1em 0 0;font-weight:normal;opacity:.7"


def html_block(title: str, rows: Iterable[tuple[str, str]], *pictures: str) -> str:
    """The HTML of a result; it has no style sheet that could reach the rest of the page.

    Args:
        title: its headline, as text.
        rows: names and values, as text.
        pictures: HTML of curves and films; empty ones are left out.
    """
    body = "".join(
        f'<tr><th style="{_NAME_STYLE}">{as_text(name)}</th>'
        f'<td style="text-align:left">{as_text(value)}</td></tr>'
        for name, value in rows
    )
    return (
        f"<div><strong>{as_text(title)}</strong><table>{body}</table>"
        f"{''.join(picture for picture in pictures if picture)}</div>"
    )


def as_text(text: object) -> str:
    """A text escaped for a page, without characters that are obeyed instead of shown."""
    return escape(shown(text, MAX_MESSAGE))
