"""The pictures in an observation, in colours for a person."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from frankrl.core.figures import counted
from frankrl.environments import EnvironmentSpec, Leaf, PictureAxes, picture_axes
from frankrl.environments.layer_colours import in_layers

_BRIGHTEST = 255
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Brightness of red, green and blue (ITU-R BT.601)."""
_LINE, _LINE_GREY = 1, 128
"""Width and brightness of the line between two pictures. [pixels]"""
_HEAT = np.array([255, 92, 0], np.float32)
_DIMMED, _COVERED = 0.75, 0.85
"""How bright a picture stays under a saliency map, and how much of it the strongest pixels hide."""


@dataclass(frozen=True)
class PictureLeaf:
    """A leaf of an observation that holds pictures."""

    leaf: Leaf
    axes: PictureAxes

    @property
    def kind(self) -> str:
        """What its pictures are, in words."""
        channels = self.axes.channels
        if self._is_colour:
            return "in colours"
        if channels == 1:
            return "in grey"
        return f"with {channels} {'channels' if self._is_bytes else 'planes of bits'}"

    @property
    def names(self) -> tuple[str, ...]:
        """One for each picture that is shown, the oldest first; a lone picture needs none."""
        stack, apart = self.axes.stack, self._shown_apart
        ages = [age_name(stack - 1 - place) for place in range(stack)] if stack > 1 else [""]
        parts = [f"channel {part}" for part in range(1, apart + 1)] if apart > 1 else [""]
        return tuple(", ".join(filter(None, (age, part))) for age in ages for part in parts)

    def in_colours(self, leaf: Shaped[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "picture h w 3"]:
        """The pictures of one observation, the oldest first, as an array of its own.

        Grey stays grey and colours stay. Planes of bits lie over each other, each in a colour of
        its own. Any other channels are shown one by one, in grey.
        """
        axes = self.axes
        moved = axes.channels_last(leaf[np.newaxis])[0]
        pictures = np.moveaxis(
            moved.reshape(axes.height, axes.width, axes.stack, axes.channels), 2, 0
        )
        if self._is_colour:
            return pictures.copy()
        if axes.channels > 1 and not self._is_bytes:
            return in_layers(pictures)
        grey = np.moveaxis(pictures, 3, 1).reshape(-1, axes.height, axes.width, 1)
        return (grey if self._is_bytes else grey * np.uint8(_BRIGHTEST)).repeat(3, axis=3)

    @property
    def _is_bytes(self) -> bool:
        """Whether pixels go from 0 to 255, and not from 0 to 1."""
        return self.leaf.high is not None and max(self.leaf.high) > 1

    @property
    def _is_colour(self) -> bool:
        return self.axes.channels == 3 and self._is_bytes

    @property
    def _shown_apart(self) -> int:
        """Pictures that are shown for one observation of the stack."""
        return self.axes.channels if self._is_bytes and not self._is_colour else 1


def picture_leaves(spec: EnvironmentSpec) -> dict[int, PictureLeaf]:
    """The leaves of an environment's observations that hold pictures, by their position."""
    stack = spec.preprocessing.frame_stack
    found = ((place, leaf, picture_axes(leaf, stack)) for place, leaf in enumerate(spec.leaves))
    return {place: PictureLeaf(leaf, axes) for place, leaf, axes in found if axes is not None}


def age_name(age: int) -> str:
    """An observation of a stack by the steps since it: the newest has age 0."""
    return f"{counted(age, 'step')} earlier" if age else "newest"


def overlaid(
    picture: UInt8[np.ndarray, "height width 3"], saliency: Float[np.ndarray, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """A picture in dimmed grey, with a saliency map from 0 to 1 over it in orange."""
    grey = _DIMMED * (picture @ _GREY)[:, :, np.newaxis]
    cover = _COVERED * saliency[:, :, np.newaxis]
    return np.round((1 - cover) * grey + cover * _HEAT).astype(np.uint8)


def side_by_side(
    pictures: Sequence[UInt8[np.ndarray, "height width 3"]],
) -> UInt8[np.ndarray, "most_high all_wide 3"]:
    """Pictures in one, from left to right, with a narrow grey line between them."""
    height = max(len(picture) for picture in pictures)
    line = np.full((height, _LINE, 3), _LINE_GREY, np.uint8)
    parts = []
    for picture in pictures:
        below = ((0, height - len(picture)), (0, 0), (0, 0))
        parts += [line, np.pad(picture, below, constant_values=_LINE_GREY)]
    return np.concatenate(parts[1:], axis=1)
