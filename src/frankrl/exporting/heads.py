"""The heads in ONNX: from the outputs for each action to Q-values."""

from typing import Any

import numpy as np

from frankrl.exporting.graph import Graph
from frankrl.exporting.own_network import untranslatable
from frankrl.learning import ExpectedHead
from frankrl.learning.heads import CategoricalHead, ImplicitHead, QuantileHead
from frankrl.networks import Head

_FRACTIONS, _ATOMS = 1, -1
"""The axis of IQN's fractions, and that of the outputs for an action."""


def add_conditioning(graph: Graph, head: Head, params: Any, features: str) -> str:
    """Add what a head does with the features of the first layer; returns the new features.

    IQN multiplies them with an embedding of each fraction, which makes a new axis of fractions:
    [batch, fraction, feature]. The fractions for Q-values are fixed, so their embeddings are
    constants.
    """
    if not isinstance(head, ImplicitHead):
        return features
    cosines = head.embedding(head.fractions())
    embedded = np.maximum(cosines @ params.weight + params.bias, 0).astype(np.float32)
    axis = graph.constant("axis_of_fractions", np.array([_FRACTIONS], np.int64))
    rows = graph.add("Unsqueeze", features, axis)
    return graph.add("Mul", rows, graph.constant("embedded_fractions", embedded))


def axis_of_actions(head: Head) -> int:
    """The axis of the actions in the outputs that `add_head` gets."""
    return 2 if isinstance(head, ImplicitHead) else 1


def add_head(graph: Graph, head: Head, outputs: str) -> str:
    """Add the Q-values; returns them, float32[batch, action].

    Args:
        graph: the graph.
        head: the head's definition.
        outputs: the outputs for each action, [batch, action], [batch, action, atom], or of IQN
            [batch, fraction, action].
    """
    match head:
        case ExpectedHead():
            return outputs
        case CategoricalHead():
            probabilities = graph.add("Softmax", outputs, axis=_ATOMS)
            return graph.add("MatMul", probabilities, graph.constant("support", head.support))
        case QuantileHead():
            return graph.add("ReduceMean", outputs, axes=[_ATOMS], keepdims=0)
        case ImplicitHead():
            return graph.add("ReduceMean", outputs, axes=[_FRACTIONS], keepdims=0)
    raise untranslatable(head)
