"""Text from files, environments and people, made fit for a terminal and a page."""

import unicodedata
from typing import Any

MAX_MESSAGE = 2_000
"""Characters of a whole message that are shown."""
_MAX_VALUE, _MAX_GIVEN = 200, 80
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that a terminal obeys or hides instead of showing them."""


def shown(text: object, most: int = _MAX_VALUE) -> str:
    """A text on one line, without characters that a terminal obeys; a long one is cut.

    Args:
        text: anything; its `str` is taken.
        most: characters to keep.
    """
    whole = str(text)
    kept = whole[:most]
    if not kept.isprintable():
        kept = "".join(_escaped(character) for character in kept)
    return kept if len(whole) <= most else f"{kept} … ({len(whole):,} characters)"


def given(value: Any) -> str:
    """A value of any type on one short line."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a foreign type raises, such as of a number too long to write
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _MAX_GIVEN else f"{text[:_MAX_GIVEN]} …"


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape").decode("ascii")
