"""The memory of a network in ONNX: a gated recurrent unit, node by node.

ONNX has an operator `GRU` of its own, for whole sequences; onnxruntime ends the process where such
a batch is empty. One step in plain operators takes a batch of any size.
"""

import numpy as np

from frankrl.exporting.graph import Graph
from frankrl.exporting.inputs import NEW_STATE, STATE
from frankrl.networks import GRU, GRUParams


def add_memory(graph: Graph, memory: GRU, params: GRUParams, features: str, path: str) -> str:
    """Add one step of the memory, from the input `state`; returns the output `new_state`.

    Args:
        graph: the graph.
        memory: the definition of the memory.
        params: its parameters, as NumPy arrays.
        features: the features of the observations, [batch, feature].
        path: path of its parameters in those of the network.
    """
    units = memory.num_units
    weight = graph.constant(f"{path}.input_weight", params.input_weight)
    product = graph.add("MatMul", features, weight)
    product = graph.add("Add", product, graph.constant(f"{path}.bias", params.bias))
    weight = graph.constant(f"{path}.recurrent_weight", params.recurrent_weight)
    recurrent = graph.add("MatMul", STATE, weight)
    of_gates, of_new = graph.split(product, (2 * units, units), axis=1)
    from_gates, from_new = graph.split(recurrent, (2 * units, units), axis=1)
    gates = graph.add("Sigmoid", graph.add("Add", of_gates, from_gates))
    reset, update = graph.split(gates, (units, units), axis=1)
    bias = graph.constant(f"{path}.recurrent_bias", params.recurrent_bias)
    within = graph.add("Mul", reset, graph.add("Add", from_new, bias))
    new = graph.add("Tanh", graph.add("Add", of_new, within))
    one = graph.constant("one", np.array(1, np.float32))
    fresh = graph.add("Mul", graph.add("Sub", one, update), new)
    kept = graph.add("Mul", update, STATE)
    return graph.add("Add", fresh, kept, output=NEW_STATE)
