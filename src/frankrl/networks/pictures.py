"""Torsos for pictures: convolutions, then all features in one row."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Shaped

from frankrl.core.types import Params, Scaling
from frankrl.networks.convolution import Convolution
from frankrl.networks.initializer import Initializer
from frankrl.networks.scaling import scaled
from frankrl.networks.stages import Activation, Convolved, MaxPool, Residual, Stage

_MAX_CHANNELS = 4
"""A first axis of so many entries or fewer, before two longer ones, holds channels."""


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

        Channels are the last of three axes, or the first where there are at most 4 of them and
        the other two axes are longer.

        Args:
            shape: shape of one observation.
            stack: observations that are stacked, along an axis in front; 1: there is none.
        """
        if len(shape) not in (2, 3):
            return None
        first = len(shape) == 3 and shape[0] <= _MAX_CHANNELS < min(shape[1:])
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


@dataclass(frozen=True)
class PictureTorso:
    """Stages of convolutions over pictures, then all their outputs as features."""

    axes: PictureAxes
    scaling: Scaling
    stages: tuple[Stage, ...]

    @property
    def num_features(self) -> int:
        height, width = (self.output_side(side) for side in (self.axes.height, self.axes.width))
        channels = self.axes.all_channels
        for stage in self.stages:
            channels = stage.num_outputs(channels)
        return height * width * channels

    @property
    def num_products(self) -> int:
        """Multiplications of numbers with weights for one leaf."""
        height, width = self.axes.height, self.axes.width
        channels, count = self.axes.all_channels, 0
        for stage in self.stages:
            count += stage.num_products(height, width, channels)
            height, width = stage.output_side(height), stage.output_side(width)
            channels = stage.num_outputs(channels)
        return count

    @property
    def smallest_side(self) -> int:
        """Least height and width of a picture. [pixels]"""
        return next(side for side in range(1, 1 << 16) if self.output_side(side))

    def output_side(self, side: int) -> int:
        """Height or width after all stages; 0 if the picture is too small. [pixels]"""
        for stage in self.stages:
            side = max(stage.output_side(side), 0)
        return side

    def init(self, initializer: Initializer) -> Params:
        channels, params = self.axes.all_channels, []
        for stage in self.stages:
            params.append(stage.init(initializer, channels))
            channels = stage.num_outputs(channels)
        return tuple(params)

    def apply(self, params: Any, leaf: Shaped[Any, "batch *shape"]) -> Float[Any, "batch feature"]:
        pictures = self.axes.channels_last(scaled(leaf, self.scaling))
        for stage, own in zip(self.stages, params, strict=True):
            pictures = stage.apply(own, pictures)
        return pictures.reshape(pictures.shape[0], -1)


def picture_stages(
    kind: str, activation: str, *, layer_norm: bool, impala_width: int
) -> tuple[Stage, ...]:
    """The stages of a torso by its name.

    Args:
        kind: `nature` (Mnih et al. 2015), `minatar` (Young & Tian 2019) or `impala` (Espeholt et
            al. 2018).
        activation: name of the activation function.
        layer_norm: whether every convolution is normalised over its channels, pixel by pixel.
        impala_width: factor of the channels of `impala`.

    Source: https://doi.org/10.1038/nature14236, https://arxiv.org/abs/1903.03176,
    https://arxiv.org/abs/1802.01561
    """
    active = Activation(activation)

    def convolution(channels: int, size: int, stride: int = 1, padding: int = 0) -> Convolved:
        return Convolved(Convolution(channels, size, stride, padding), layer_norm)

    match kind:
        case "minatar":
            return (convolution(16, 3), active)
        case "nature":
            return (
                *(convolution(32, 8, 4), active),
                *(convolution(64, 4, 2), active),
                *(convolution(64, 3), active),
            )
        case "impala":
            stages: list[Stage] = []
            for channels in (16 * impala_width, 32 * impala_width, 32 * impala_width):
                inner = convolution(channels, 3, padding=1)
                stages += [inner, MaxPool(3, 2, 1)]
                stages += [Residual((active, inner, active, inner))] * 2
            return (*stages, active)
    raise ValueError(f"no such torso: {kind!r}")
