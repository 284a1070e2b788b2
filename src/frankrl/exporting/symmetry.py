"""The mean over the images of a state in ONNX, as `SymmetricNetwork` computes it."""

from collections.abc import Sequence

import numpy as np

from frankrl.environments.symmetry import LeafSymmetry
from frankrl.exporting.graph import Graph, tensor_type
from frankrl.exporting.inputs import Input, as_dtype
from frankrl.networks import SymmetricNetwork


def add_images(graph: Graph, network: SymmetricNetwork, inputs: Sequence[Input]) -> list[Input]:
    """Add all images of a batch, one after the other along its axis.

    Returns:
        What the torsos read, one for each input.
    """
    images = []
    for index, source in enumerate(inputs):
        maps = [symmetry.leaves[index] for symmetry in network.group]
        if any(-1 in own.signs for own in maps):
            name = as_dtype(graph, source, np.float32)
            source = source._replace(name=name, dtype=np.dtype(np.float32))
        stack = source.shape[: len(source.shape) - network.num_axes[index]]
        parts = [_add_image(graph, own, source, stack) for own in maps]
        images.append(source._replace(name=graph.add("Concat", *parts, axis=0)))
    return images


def add_mean(graph: Graph, network: SymmetricNetwork, outputs: str, axis: int) -> str:
    """Add the mean of the outputs over the images; returns it.

    Args:
        graph: the graph.
        network: the network whose images they are.
        outputs: outputs for each action, of all images of the batch.
        axis: the axis of the actions.
    """
    sizes = graph.add("Shape", outputs)
    rest = graph.add("Slice", sizes, _whole(graph, [1]), _whole(graph, [9]))
    shape = graph.add("Concat", _whole(graph, [len(network.group), -1]), rest, axis=0)
    by_image = graph.add("Reshape", outputs, shape)
    total = ""
    for number, symmetry in enumerate(network.group):
        image = graph.add("Gather", by_image, _whole(graph, [number]), axis=0)
        if number:
            image = graph.add("Gather", image, _whole(graph, symmetry.actions), axis=1 + axis)
        total = graph.add("Add", total, image) if total else image
    share = graph.constant("share_of_image", np.array(1 / len(network.group), np.float32))
    return graph.add("Squeeze", graph.add("Mul", total, share), _whole(graph, [0]))


def _add_image(graph: Graph, own: LeafSymmetry, source: Input, stack: tuple[int, ...]) -> str:
    """Add the image of one input; returns its name."""
    if own.is_identity:
        return source.name
    flat = graph.add("Reshape", source.name, _whole(graph, [-1, *stack, len(own.components)]))
    image = graph.add("Gather", flat, _whole(graph, own.components), axis=-1)
    if own.values:
        image = _add_values(graph, own, source, image)
    elif -1 in own.signs:
        image = graph.add("Mul", image, graph.constant("signs", np.array(own.signs, np.float32)))
    return graph.add("Reshape", image, _whole(graph, [-1, *source.shape]))


def _add_values(graph: Graph, own: LeafSymmetry, source: Input, numbers: str) -> str:
    """Add what each numbered value becomes, in the environment's own numbers."""
    first = np.array(source.first_values)
    tables = [start + np.array(table) for start, table in zip(first, own.values, strict=True)]
    starts = np.cumsum([0, *map(len, own.values[:-1])]) - first[list(own.components)]
    whole = graph.add("Cast", numbers, to=tensor_type(np.int64))
    places = graph.add("Add", whole, _whole(graph, starts))
    return graph.add("Gather", graph.constant("values", np.concatenate(tables)), places)


def _whole(graph: Graph, numbers: Sequence[int] | np.ndarray) -> str:
    return graph.constant("whole_numbers", np.array(numbers, np.int64))
