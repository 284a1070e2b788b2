"""The last layer in ONNX: outputs for each action."""

from typing import Any

import numpy as np

from frankrl.exporting.graph import Graph
from frankrl.exporting.layers import add_layer
from frankrl.exporting.own_network import untranslatable
from frankrl.networks import ActionOutputs, Dueling, Table


def add_outputs(graph: Graph, output: Any, params: Any, features: str, path: str) -> str:
    """Add the last layer; returns [..., action], or [batch, action, atom] where there are atoms.

    Args:
        graph: the graph.
        output: the definition of the last layer.
        params: its parameters.
        features: name of the features, which are the last axis.
        path: path of its parameters in those of the network.
    """
    match output:
        case Table():
            return graph.add("MatMul", features, graph.constant(path, params))
        case ActionOutputs():
            outputs = add_layer(graph, output.layer, params, features, path)
            if output.atoms is None:
                return outputs
            shape = np.array([0, output.num_actions, output.atoms], np.int64)
            return graph.add("Reshape", outputs, graph.constant("actions_and_atoms", shape))
        case Dueling():
            parts = add_outputs(graph, output.outputs, params, features, path)
            axis = -1 if output.outputs.atoms is None else -2
            value, advantage = graph.split(parts, (1, output.num_actions), axis)
            mean = graph.add("ReduceMean", advantage, axes=[axis], keepdims=1)
            return graph.add("Add", value, graph.add("Sub", advantage, mean))
    raise untranslatable(output)
