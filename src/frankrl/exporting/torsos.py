"""The torsos in ONNX: from an input in the environment's own dtype to features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from frankrl.core.normalisation import LeafScale, Scales
from frankrl.core.types import Scaling
from frankrl.exporting.graph import Graph, tensor_type
from frankrl.exporting.inputs import Input, as_dtype
from frankrl.exporting.own_network import untranslatable
from frankrl.networks import Flatten, OneHot, Torso
from frankrl.networks.scaling import scaling_numbers


def add_torso(graph: Graph, torso: Torso, params: Any, source: Input, path: str) -> str:
    """Add a torso; returns its features, float32[batch, feature].

    Args:
        graph: the graph.
        torso: the torso's definition.
        params: its parameters.
        source: the input that it reads, or a value that is computed of it.
        path: path of its parameters in those of the network.
    """
    match torso:
        case OneHot():
            return _add_one_hot(graph, torso, source)
        case Flatten():
            leaf = graph.add("Flatten", as_dtype(graph, source, np.float32), axis=1)
            return _add_scaling(graph, torso.scaling, leaf, (torso.num_features,))
    # Not at the top, since few networks see pictures.
    from frankrl.exporting.pictures import add_pictures
    from frankrl.networks.pictures import PictureTorso

    if isinstance(torso, PictureTorso):
        leaf = _add_scaling(graph, torso.scaling, as_dtype(graph, source, np.float32), source.shape)
        return add_pictures(graph, torso, params, leaf, path)
    raise untranslatable(torso)


def add_normalisation(graph: Graph, scales: Scales | None, inputs: Sequence[Input]) -> list[Input]:
    """Add the normalisation of observations, as `Scales.of_observation` computes it.

    Returns:
        What the torsos read: a leaf that is normalised as a value in float32, else the input.
    """
    if scales is None or not scales.observation:
        return list(inputs)
    clip = np.asarray(scales.observation_clip, np.float32)
    low, high = graph.constant("clip_low", -clip), graph.constant("clip_high", clip)

    def normalised(source: Input, scale: LeafScale | None) -> Input:
        if scale is None:
            return source
        mean = graph.constant("mean", np.asarray(scale.mean, np.float32))
        factor = graph.constant("factor", np.asarray(scale.factor, np.float32))
        leaf = graph.add("Sub", as_dtype(graph, source, np.float32), mean)
        leaf = graph.add("Clip", graph.add("Mul", leaf, factor), low, high)
        return source._replace(name=leaf, dtype=np.dtype(np.float32))

    return [normalised(*pair) for pair in zip(inputs, scales.observation, strict=True)]


def _add_scaling(graph: Graph, scaling: Scaling, leaf: str, shape: tuple[int, ...]) -> str:
    offset, factor = scaling_numbers(scaling, shape)
    if (offset != 0).any():
        leaf = graph.add("Sub", leaf, graph.constant("offset", offset))
    if (factor != 1).any():
        leaf = graph.add("Mul", leaf, graph.constant("factor", factor))
    return leaf


def _add_one_hot(graph: Graph, torso: OneHot, source: Input) -> str:
    """A feature is 1 if its index has its value: for each feature, Gather takes its index, and
    Equal compares it with the environment's own number for the value."""
    counts = np.array(torso.num_values)
    first = np.resize(source.first_values, len(counts))
    index_of_feature = np.repeat(np.arange(len(counts)), counts)
    values = [start + np.arange(count) for start, count in zip(first, counts, strict=True)]
    numbers = graph.add("Flatten", as_dtype(graph, source, np.int64), axis=1)
    index = graph.constant("index_of_feature", index_of_feature.astype(np.int64))
    value = graph.constant("value_of_feature", np.concatenate(values).astype(np.int64))
    equal = graph.add("Equal", graph.add("Gather", numbers, index, axis=1), value)
    return graph.add("Cast", equal, to=tensor_type(np.float32))
