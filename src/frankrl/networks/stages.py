"""The stages of a torso for pictures: each maps pictures to pictures."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from frankrl.core.types import Params
from frankrl.networks.convolution import Convolution, padded
from frankrl.networks.initializer import Initializer
from frankrl.networks.layers import Layer, Normalised, activate


@runtime_checkable
class Stage(Protocol):
    """Maps pictures (batch, height, width, channel) to other pictures."""

    def num_outputs(self, num_inputs: int) -> int:
        """Channels of the output."""
        ...

    def output_side(self, side: int) -> int:
        """Height or width of the output; 0 or less if the input is too small. [pixels]"""
        ...

    def num_products(self, height: int, width: int, num_inputs: int) -> int:
        """Multiplications of numbers with weights for one picture."""
        ...

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """Initial parameters; an empty tuple if there are none."""
        ...

    def apply(
        self, params: Any, inputs: Float[Any, "batch height width channel"]
    ) -> Float[Any, "batch new_height new_width new_channel"]:
        """The new pictures."""
        ...


@dataclass(frozen=True)
class Convolved:
    """A convolution, with layer normalisation of each pixel's channels by choice."""

    convolution: Convolution
    layer_norm: bool

    def num_outputs(self, num_inputs: int) -> int:
        """See `Stage.num_outputs`."""
        return self.convolution.num_outputs

    def output_side(self, side: int) -> int:
        """See `Stage.output_side`."""
        return self.convolution.output_side(side)

    def num_products(self, height: int, width: int, num_inputs: int) -> int:
        """See `Stage.num_products`."""
        outputs = self.output_side(height) * self.output_side(width) * self.num_outputs(num_inputs)
        return outputs * self.convolution.size**2 * num_inputs

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """See `Stage.init`."""
        return self._layer.init(initializer, num_inputs)

    def apply(self, params: Any, inputs: Float[Any, "batch h w c"]) -> Float[Any, "batch i j d"]:
        """See `Stage.apply`."""
        return self._layer.apply(params, inputs)

    @property
    def _layer(self) -> Layer:
        return Normalised(self.convolution) if self.layer_norm else self.convolution


@dataclass(frozen=True)
class Activation:
    """An activation function."""

    name: str

    def num_outputs(self, num_inputs: int) -> int:
        """See `Stage.num_outputs`."""
        return num_inputs

    def output_side(self, side: int) -> int:
        """See `Stage.output_side`."""
        return side

    def num_products(self, height: int, width: int, num_inputs: int) -> int:
        """See `Stage.num_products`."""
        return 0

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """See `Stage.init`."""
        return ()

    def apply(self, params: Any, inputs: Float[Any, "batch h w c"]) -> Float[Any, "batch h w c"]:
        """See `Stage.apply`."""
        return activate(self.name, inputs)


@dataclass(frozen=True)
class MaxPool:
    """The largest value in each window, channel by channel."""

    size: int
    """Height and width of the window. [pixels]"""
    stride: int
    """Distance of neighbouring windows. [pixels]"""
    padding: int
    """Pixels added on each side, which are never the largest."""

    def num_outputs(self, num_inputs: int) -> int:
        """See `Stage.num_outputs`."""
        return num_inputs

    def output_side(self, side: int) -> int:
        """See `Stage.output_side`."""
        return (side + 2 * self.padding - self.size) // self.stride + 1

    def num_products(self, height: int, width: int, num_inputs: int) -> int:
        """See `Stage.num_products`."""
        return 0

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """See `Stage.init`."""
        return ()

    def apply(self, params: Any, inputs: Float[Any, "batch h w c"]) -> Float[Any, "batch i j c"]:
        """See `Stage.apply`."""
        rows, columns = (self.output_side(side) for side in inputs.shape[1:3])
        inputs = padded(inputs, self.padding, -np.inf)
        largest = self._seen_at(inputs, 0, 0, rows, columns)
        for place in range(1, self.size**2):
            row, column = divmod(place, self.size)
            seen = self._seen_at(inputs, row, column, rows, columns)
            largest = inputs.__array_namespace__().maximum(largest, seen)
        return largest

    def _seen_at(self, inputs: Any, row: int, column: int, rows: int, columns: int) -> Any:
        """The pixel at one place of every window."""
        down = slice(row, row + (rows - 1) * self.stride + 1, self.stride)
        right = slice(column, column + (columns - 1) * self.stride + 1, self.stride)
        return inputs[:, down, right]


@dataclass(frozen=True)
class Residual:
    """x ↦ x + other stages of x, which keep its shape (He et al. 2016)."""

    stages: tuple[Stage, ...]

    def num_outputs(self, num_inputs: int) -> int:
        """See `Stage.num_outputs`."""
        return num_inputs

    def output_side(self, side: int) -> int:
        """See `Stage.output_side`."""
        return side

    def num_products(self, height: int, width: int, num_inputs: int) -> int:
        """See `Stage.num_products`."""
        return sum(stage.num_products(height, width, num_inputs) for stage in self.stages)

    def init(self, initializer: Initializer, num_inputs: int) -> Params:
        """See `Stage.init`."""
        return tuple(stage.init(initializer, num_inputs) for stage in self.stages)

    def apply(self, params: Any, inputs: Float[Any, "batch h w c"]) -> Float[Any, "batch h w c"]:
        """See `Stage.apply`."""
        outputs = inputs
        for stage, own in zip(self.stages, params, strict=True):
            outputs = stage.apply(own, outputs)
        return inputs + outputs
