"""How a number is written, in a terminal and on a page alike."""


def written(cell: str | int | float) -> str:
    """A whole number in full, any other to four digits; words stay as they are."""
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
