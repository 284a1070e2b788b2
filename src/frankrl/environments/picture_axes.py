"""Which leaves of an observation are pictures, and how their axes form these."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from frankrl.environments.leaves import Leaf

_MAX_CHANNELS = 4
"""A first axis of so many entries or fewer, before two longer ones, holds channels."""
_LEAST_SIDE = 8
"""Least height and width of a leaf of bytes that is taken for a picture. [pixels]"""


@dataclass(frozen=True)
class PictureAxes:
    """How the axes of a leaf form pictures: (stack, height, width, channel), some left out."""

    height: int
    width: int
    channels: int
    """Channels of one picture; 1 if the leaf has no such axis."""
    stack: int
    """Pictures in a leaf; 1 if the leaf has no such axis."""
    order: tuple[int, ...]
    """The axes of a leaf in the order height, width, stack, channel, without those left out."""

    @classmethod
    def of(cls, shape: tuple[int, ...], stack: int) -> "PictureAxes | None":
        """The axes of a leaf; None if it cannot be a picture.

        Channels are the last of three axes. They are the first where that is shorter than the
        other two, if these are equal or there are at most 4 channels.

        Args:
            shape: shape of one observation.
            stack: observations that are stacked, along an axis in front; 1: there is none.
        """
        if len(shape) not in (2, 3):
            return None
        first = len(shape) == 3 and _has_channels_first(*shape)
        height, width = shape[1:] if first else shape[:2]
        channels = 1 if len(shape) == 2 else shape[0 if first else 2]
        axes = [1, 2, 0] if first else [0, 1, 2][: len(shape)]
        if stack > 1:
            axes = [axis + 1 for axis in axes]
            axes.insert(2, 0)
        return cls(height, width, channels, stack, tuple(axes))

    def channels_last(self, leaf: Shaped[Any, "batch *shape"]) -> Shaped[Any, "batch h w c"]:
        """The pictures with one axis of channels, the last: those of the oldest picture first."""
        order = (0, *(axis + 1 for axis in self.order))
        moved = leaf.__array_namespace__().permute_dims(leaf, order)
        return moved.reshape(leaf.shape[0], self.height, self.width, self.all_channels)

    @property
    def all_channels(self) -> int:
        """Channels of all pictures of a leaf."""
        return self.channels * self.stack


def _has_channels_first(first: int, second: int, third: int) -> bool:
    if second == third:
        return first < second
    return first <= _MAX_CHANNELS < min(second, third)


def picture_axes(leaf: Leaf, frame_stack: int = 1) -> PictureAxes | None:
    """The axes of a leaf that is a picture: bytes, of at least 8 × 8 pixels; else None.

    Args:
        leaf: the leaf.
        frame_stack: observations that are stacked, along an axis in front; 1: there is none.
    """
    axes = PictureAxes.of(leaf.shape, frame_stack) if leaf.dtype == np.uint8 else None
    return axes if axes and min(axes.height, axes.width) >= _LEAST_SIDE else None
