"""Dense layers, their normalisation and activation functions in ONNX."""

from typing import Any

from frankrl.exporting.graph import Graph
from frankrl.exporting.own_network import untranslatable
from frankrl.networks import Dense, Noisy, Normalised
from frankrl.networks.layers import LAYER_NORM_EPSILON, Layer

_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "elu": "Elu"}
"""Activation functions that are a single operator of ONNX."""


def add_layer(graph: Graph, layer: Layer, params: Any, inputs: str, path: str) -> str:
    """Add a layer; returns its outputs. A noisy layer has its mean weights.

    Args:
        graph: the graph.
        layer: the layer's definition.
        params: its parameters, as NumPy arrays.
        inputs: name of its inputs; the features are the last axis.
        path: path of its parameters in those of the network.
    """
    match layer:
        case Dense() | Noisy():
            product = graph.add("MatMul", inputs, graph.constant(f"{path}.weight", params.weight))
            return graph.add("Add", product, graph.constant(f"{path}.bias", params.bias))
        case Normalised():
            outputs = add_layer(graph, layer.layer, params.layer, inputs, f"{path}.layer")
            return add_layer_norm(graph, params, outputs, path)
    raise untranslatable(layer)


def add_layer_norm(graph: Graph, params: Any, inputs: str, path: str) -> str:
    """Add layer normalisation over the last axis; returns its outputs. Arguments as above."""
    gain = graph.constant(f"{path}.gain", params.gain)
    shift = graph.constant(f"{path}.shift", params.shift)
    return graph.add("LayerNormalization", inputs, gain, shift, axis=-1, epsilon=LAYER_NORM_EPSILON)


def add_activation(graph: Graph, name: str, inputs: str) -> str:
    """Add the activation function of that name; returns its outputs."""
    if name in _ACTIVATIONS:
        return graph.add(_ACTIVATIONS[name], inputs)
    if name == "silu":
        return graph.add("Mul", inputs, graph.add("Sigmoid", inputs))
    raise untranslatable(name)
