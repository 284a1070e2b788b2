"""The spaces of the leaves of an observation."""

from collections.abc import Iterator

from gymnasium import spaces


def leaf_spaces(space: spaces.Space) -> Iterator[spaces.Space]:
    """The parts of a space that are leaves, in the order of the leaves."""
    if isinstance(space, spaces.Dict):
        for name in sorted(space.spaces):
            yield from leaf_spaces(space[name])
    elif isinstance(space, spaces.Tuple):
        for part in space.spaces:
            yield from leaf_spaces(part)
    else:
        yield space
