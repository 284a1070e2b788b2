"""Pictures that a data set holds as JPEGs, as Minari stores them by default."""

import io
from collections.abc import Iterable

import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8

from frankrl.environments.extras import imported

_SMALLEST_SIDE = 32
"""From so many pixels on, Minari takes an array of bytes for a picture."""


def are_jpegs(space: spaces.Space) -> bool:
    """Whether Minari stores observations of a space as JPEGs, where it does so at all."""
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) in (2, 3)
        and min(space.shape[:2]) >= _SMALLEST_SIDE
        and space.dtype == np.uint8
        and bool(np.all(space.low == 0) and np.all(space.high == 255))
    )


def decoded(
    jpegs: Iterable[bytes], count: int, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "picture height width *channel"]:
    """The pictures in JPEGs.

    Args:
        jpegs: the files.
        count: how many they are.
        shape: the shape that each picture must have.

    Raises:
        MissingExtraError: Pillow is not installed.
        ValueError: they hold something else.
        OSError: they are damaged.
    """
    image = imported("PIL.Image", "pictures of a Minari data set", "pillow", "minari")
    pictures = np.empty((count, *shape), np.uint8)
    for place, jpeg in enumerate(jpegs):
        opened = image.open(io.BytesIO(jpeg), formats=["JPEG"])
        if opened.size != (shape[1], shape[0]):
            raise ValueError(f"a picture of the size {opened.size}")
        picture = np.asarray(opened, np.uint8)
        if picture.shape != shape:
            raise ValueError(f"a picture of the shape {picture.shape}")
        pictures[place] = picture
    return pictures
