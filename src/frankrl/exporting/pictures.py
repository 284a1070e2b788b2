"""Convolutions over pictures in ONNX, where the axes are batch, channel, height, width."""

import math
from typing import Any

import numpy as np

from frankrl.exporting.graph import Graph
from frankrl.exporting.layers import add_activation, add_layer_norm
from frankrl.exporting.own_network import untranslatable
from frankrl.networks.convolution import Convolution
from frankrl.networks.pictures import PictureTorso
from frankrl.networks.stages import Activation, Convolved, MaxPool, Residual, Stage

_CHANNELS_LAST, _CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def add_pictures(graph: Graph, torso: PictureTorso, params: Any, leaf: str, path: str) -> str:
    """Add the stages of a torso; returns its features.

    Args:
        graph: the graph.
        torso: the torso's definition.
        params: its parameters.
        leaf: name of the scaled leaf, with the axes of the environment.
        path: path of its parameters in those of the network.
    """
    pictures = _channels_first(graph, torso, leaf)
    for index, (stage, own) in enumerate(zip(torso.stages, params, strict=True)):
        pictures = _add_stage(graph, stage, own, pictures, f"{path}.{index}")
    # The network's features are in the order height, width, channel.
    return graph.add("Flatten", graph.add("Transpose", pictures, perm=_CHANNELS_LAST), axis=1)


def _channels_first(graph: Graph, torso: PictureTorso, leaf: str) -> str:
    """The pictures of a leaf with one axis of channels: those of the oldest picture first."""
    axes = torso.axes
    height, width, *channels = (axis + 1 for axis in axes.order)
    order = (0, *channels, height, width)
    if order != tuple(range(len(order))):
        leaf = graph.add("Transpose", leaf, perm=order)
    if len(channels) == 1:
        return leaf
    # A 0 keeps the length of the batch.
    shape = np.array([0, axes.all_channels, axes.height, axes.width], np.int64)
    return graph.add("Reshape", leaf, graph.constant("pictures", shape))


def _add_stage(graph: Graph, stage: Stage, params: Any, inputs: str, path: str) -> str:
    match stage:
        case Convolved():
            return _add_convolved(graph, stage, params, inputs, path)
        case Activation():
            return add_activation(graph, stage.name, inputs)
        case MaxPool():
            return graph.add(
                "MaxPool",
                inputs,
                kernel_shape=[stage.size] * 2,
                strides=[stage.stride] * 2,
                pads=[stage.padding] * 4,
            )
        case Residual():
            outputs = inputs
            for index, (inner, own) in enumerate(zip(stage.stages, params, strict=True)):
                outputs = _add_stage(graph, inner, own, outputs, f"{path}.{index}")
            return graph.add("Add", inputs, outputs)
    raise untranslatable(stage)


def _add_convolved(graph: Graph, stage: Convolved, params: Any, inputs: str, path: str) -> str:
    if not stage.layer_norm:
        return _add_convolution(graph, stage.convolution, params, inputs, path)
    outputs = _add_convolution(graph, stage.convolution, params.layer, inputs, f"{path}.layer")
    pixels = graph.add("Transpose", outputs, perm=_CHANNELS_LAST)
    normalised = add_layer_norm(graph, params, pixels, path)
    return graph.add("Transpose", normalised, perm=_CHANNELS_FIRST)


def _add_convolution(graph: Graph, layer: Convolution, params: Any, inputs: str, path: str) -> str:
    size, outputs = layer.size, layer.num_outputs
    channels = math.prod(params.weight.shape) // (size * size * outputs)
    # Rows are numbered by patch row, column and channel; ONNX wants [output, channel, row, column].
    kernel = params.weight.reshape(size, size, channels, outputs).transpose(3, 2, 0, 1)
    return graph.add(
        "Conv",
        inputs,
        graph.constant(f"{path}.weight", kernel),
        graph.constant(f"{path}.bias", params.bias),
        kernel_shape=[size] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
    )
