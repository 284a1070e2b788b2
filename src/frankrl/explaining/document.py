"""What is told of an update, whatever it is written on. Numbers stay numbers here."""

from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True)
class Line:
    """A line of words."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A line in which numbers stand: words and numbers in turn."""

    parts: tuple[Cell, ...]


@dataclass(frozen=True)
class Vectors:
    """Vectors that share the names of their components, such as s and s′."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    """What each is called, and its components."""


@dataclass(frozen=True)
class NamedValues:
    """One value for each name, such as the Q-value of each action; one of them may be marked.

    A value of -∞ says that there is none: the action is not allowed.
    """

    heading: str
    """What the values are, as a formula."""
    names: tuple[str, ...]
    values: tuple[float, ...]
    marked: int | None = None
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells, each row named by its first; one of them may be marked."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: int | None = None
    mark: str = ""


@dataclass(frozen=True)
class Histogram:
    """How many values lie between each edge and the next."""

    caption: str
    counts: tuple[int, ...]
    edges: tuple[float, ...]
    """One more than there are counts."""


Block = Line | Formula | Vectors | NamedValues | Table | Histogram


@dataclass(frozen=True)
class Section:
    """Some blocks under a title."""

    title: str
    blocks: tuple[Block, ...]
    too_wide_for_terminals: bool = False
    """Whether only a page has room for it."""


@dataclass(frozen=True)
class Document:
    """Everything that is told, in order."""

    title: str
    about: str
    """Of what it is an account."""
    sections: tuple[Section, ...]
