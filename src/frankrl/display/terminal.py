"""What a terminal can do."""

from typing import IO, TypeGuard


def can_redraw(stream: IO[str] | None) -> TypeGuard[IO[str]]:
    """Whether a stream is a terminal in which lines can be drawn again."""
    if stream is None or not stream.isatty():
        return False
    from rich.console import Console

    return not Console(file=stream).is_dumb_terminal
