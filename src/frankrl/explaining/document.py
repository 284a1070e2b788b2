"""The document that explains an update, before it becomes text or HTML.

Numbers are stored as numbers; each output formats them.
"""

from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True)
class Line:
    """A line of text."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A line of text and numbers."""

    parts: tuple[Cell, ...]


@dataclass(frozen=True)
class Vectors:
    """Vectors with the same component names, such as s and s′."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    """Name and components of each vector; a component in words needs no name beside it."""


@dataclass(frozen=True)
class NamedValues:
    """One value per name, such as the Q-value of each action; one row may be marked.

    A value of -∞ means that the action is not allowed.
    """

    heading: str
    """The formula of the values."""
    names: tuple[str, ...]
    values: tuple[float, ...]
    marked: int | None = None
    mark: str = ""
    are_probabilities: bool = False
    """Whether the values are probabilities, rather than Q-values or logits."""
    symbol: str = "Q"
    """What one of the values is called."""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row names the row, and one row may be marked."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: int | None = None
    mark: str = ""


@dataclass(frozen=True)
class Histogram:
    """How many values lie in each bin."""

    caption: str
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    """Bin edges, one more than there are counts."""


@dataclass(frozen=True)
class Picture:
    """A picture in colours."""

    label: str
    height: int
    width: int
    pixels: bytes
    """Red, green and blue of each pixel, row by row."""


@dataclass(frozen=True)
class Pictures:
    """Pictures in a row, such as those of a stack. A terminal shows only what is said of them."""

    caption: str
    pictures: tuple[Picture, ...]


Block = Line | Formula | Vectors | NamedValues | Table | Histogram | Pictures


@dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    title: str
    blocks: tuple[Block, ...]
    too_wide_for_terminals: bool = False
    """If true, only the HTML page shows this section."""


@dataclass(frozen=True)
class Document:
    """All sections, in order."""

    title: str
    about: str
    """One line that says which run, or which example, is explained."""
    sections: tuple[Section, ...]
