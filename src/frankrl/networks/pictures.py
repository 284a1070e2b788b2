"""Torsos for pictures: convolutions, then all features in one row."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Shaped

from frankrl.core.types import Params, Scaling
from frankrl.environments import PictureAxes
from frankrl.networks.convolution import Convolution
from frankrl.networks.initializer import Initializer
from frankrl.networks.scaling import scaled
from frankrl.networks.stages import Activation, Convolved, MaxPool, Residual, Stage


@dataclass(frozen=True)
class PictureTorso:
    """Stages of convolutions over pictures, then all their outputs as features."""

    axes: PictureAxes
    scaling: Scaling
    stages: tuple[Stage, ...]

    @property
    def num_features(self) -> int:
        """See `Torso.num_features`."""
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
        """See `Torso.init`."""
        channels, params = self.axes.all_channels, []
        for stage in self.stages:
            params.append(stage.init(initializer, channels))
            channels = stage.num_outputs(channels)
        return tuple(params)

    def apply(self, params: Any, leaf: Shaped[Any, "batch *shape"]) -> Float[Any, "batch feature"]:
        """See `Torso.apply`."""
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
            layers = (convolution(32, 8, 4), convolution(64, 4, 2), convolution(64, 3))
            return tuple(stage for layer in layers for stage in (layer, active))
        case "impala":
            stages: list[Stage] = []
            for channels in (16 * impala_width, 32 * impala_width, 32 * impala_width):
                inner = convolution(channels, 3, padding=1)
                stages += [inner, MaxPool(3, 2, 1)]
                stages += [Residual((active, inner, active, inner))] * 2
            return (*stages, active)
    raise ValueError(f"no such torso: {kind!r}")
