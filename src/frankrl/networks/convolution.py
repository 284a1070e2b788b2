"""Convolutions over pictures, on NumPy or JAX arrays."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from frankrl.networks.initializer import Initializer
from frankrl.networks.layers import DenseParams


@dataclass(frozen=True)
class Convolution:
    """A convolution over height and width; initialised as `Dense`, by the inputs of one output.

    It is computed as one product of all patches with the weights. XLA's own convolution is about
    20 times slower on the CPU inside a loop over updates. On a GPU it calls cuDNN, which took
    twice as long for a batch of 32, and chooses its method by timing, so that bits differ.
    """

    num_outputs: int
    """Channels of the output."""
    size: int
    """Height and width of the patch that an output sees. [pixels]"""
    stride: int = 1
    """Distance of neighbouring patches. [pixels]"""
    padding: int = 0
    """Zeros added on each side. [pixels]"""

    def init(self, initializer: Initializer, num_inputs: int) -> DenseParams:
        """Initial parameters; rows of the weight are numbered by patch row, column and channel."""
        fan_in = self.size * self.size * num_inputs
        bound = 1 / math.sqrt(fan_in)
        weight = initializer.uniform(bound, fan_in, self.num_outputs)
        return DenseParams(weight, initializer.uniform(bound, self.num_outputs))

    def apply(
        self, params: DenseParams, inputs: Float[Any, "batch height width channel"]
    ) -> Float[Any, "batch new_height new_width new_channel"]:
        """Outputs for a batch of pictures or of other channels."""
        weight, inputs = params.weight, padded(inputs, self.padding)
        height, width = (side - self.size for side in inputs.shape[1:3])
        rows, columns = height // self.stride + 1, width // self.stride + 1
        steps, stride = self.size, self.stride
        if stride > 1 and self.size % stride == 0:
            inputs = _blocks(
                inputs, stride, rows - 1 + steps // stride, columns - 1 + steps // stride
            )
            steps, stride = steps // stride, 1
            weight = _by_block(weight, steps, self.stride)
        xp = inputs.__array_namespace__()
        parts = [
            inputs[
                :,
                row : row + (rows - 1) * stride + 1 : stride,
                column : column + (columns - 1) * stride + 1 : stride,
            ]
            for row in range(steps)
            for column in range(steps)
        ]
        patches = xp.concat(parts, axis=-1)
        outputs = patches.reshape(-1, patches.shape[-1]) @ weight + params.bias
        return outputs.reshape(inputs.shape[0], rows, columns, self.num_outputs)

    def output_side(self, side: int) -> int:
        """Height or width of the output; 0 or less if the input is too small. [pixels]"""
        return (side + 2 * self.padding - self.size) // self.stride + 1


def padded(inputs: Any, count: int, value: float = 0.0) -> Any:
    """Pictures with `count` pixels of one value on each side."""
    if not count:
        return inputs
    widths = ((0, 0), (count, count), (count, count), (0, 0))
    pad = np.pad if isinstance(inputs, np.ndarray) else jax.numpy.pad
    return pad(inputs, widths, constant_values=value)


def _blocks(inputs: Any, side: int, rows: int, columns: int) -> Any:
    """Pictures of `rows` × `columns` blocks, whose channels are the pixels of the block."""
    batch, _, _, channels = inputs.shape
    inputs = inputs[:, : rows * side, : columns * side]
    split = inputs.reshape(batch, rows, side, columns, side, channels)
    together = split.__array_namespace__().permute_dims(split, (0, 1, 3, 2, 4, 5))
    return together.reshape(batch, rows, columns, side * side * channels)


def _by_block(weight: Any, blocks: int, side: int) -> Any:
    """A weight with its rows in the order of blocks, then pixels of the block."""
    split = weight.reshape(blocks, side, blocks, side, -1, weight.shape[-1])
    together = split.__array_namespace__().permute_dims(split, (0, 2, 1, 3, 4, 5))
    return together.reshape(weight.shape)
