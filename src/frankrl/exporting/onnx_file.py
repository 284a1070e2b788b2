"""A trained Q-network as an ONNX model: observations in, Q-values and actions out.

A network with a memory also takes what it remembers, and returns what it remembers then.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from frankrl.core.errors import SettingError
from frankrl.core.normalisation import Scales
from frankrl.core.wording import option
from frankrl.environments import EnvironmentSpec
from frankrl.exporting.graph import BATCH, IR_VERSION, OPSET, Graph, tensor_type
from frankrl.exporting.heads import add_conditioning, add_head, axis_of_actions
from frankrl.exporting.inputs import ACTION, MASK, NEW_STATE, Q_VALUES, STATE, Input, inputs_of
from frankrl.exporting.layers import add_activation, add_layer
from frankrl.exporting.memory import add_memory
from frankrl.exporting.outputs import add_outputs
from frankrl.exporting.own_network import add_translated, names_in, translated, untranslatable
from frankrl.exporting.symmetry import add_images, add_mean
from frankrl.exporting.torsos import add_normalisation, add_torso
from frankrl.exporting.trained_network import as_texts
from frankrl.networks import (
    Encoder,
    LayeredNetwork,
    NetworkParams,
    QNetwork,
    Readout,
    RecurrentNetwork,
    SymmetricNetwork,
)

_MAX_BYTES = 2**31 - 2**20
"""Most bytes of parameters in one file: Protocol Buffers end at 2 GiB, and the rest needs some."""
_STATE_NOTE = "new_state of the observation before; zeros at an episode's start"


def onnx_file(
    network: QNetwork,
    params: Any,
    scales: Scales | None,
    spec: EnvironmentSpec,
    facts: Mapping[str, Any],
) -> bytes:
    """The content of an ONNX file that computes what the agent computes.

    Its inputs are named after the entries of an observation, in the environment's own dtypes, with
    a free first axis `batch`; where the environment has action masks, there is an input
    `action_mask`, bool[batch, action]. Its outputs are `q_values`, float32[batch, action], with -∞
    for forbidden actions, and `action`, int64[batch], the environment's own number of the best.
    With a memory there are the input `state` and the output `new_state`, float32[batch, unit].

    Args:
        network: the definition of the Q-network.
        params: its parameters, as NumPy arrays.
        scales: how observations are normalised before they get into it; None: they are not.
        spec: the environment.
        facts: what is known of the agent, by name; texts, or JSON data.

    Raises:
        SettingError: a part of the network cannot be translated, or it is too large for a file.
    """
    if 4 * network.layout.size > _MAX_BYTES:
        raise SettingError(
            f"the network has {network.layout.size:,} parameters, and an ONNX file can hold "
            f"{_MAX_BYTES // 4:,}: use {option('safetensors', 'FILE')}"
        )
    units = network.memory_units
    inputs = inputs_of(spec, remembers=units > 0)
    own = (STATE, NEW_STATE) if units else ()
    graph = Graph([*(part.name for part in inputs), MASK, Q_VALUES, ACTION, *own])
    if network.is_own_code:
        model = translated(network, params, scales, spec)
        graph.reserve(names_in(model))
        q_values = add_translated(graph, model, spec, inputs, remembers=units > 0)
    else:
        normalised = add_normalisation(graph, scales, inputs)
        q_values = add_head(graph, network.head, _add_network(graph, network, params, normalised))
    _add_answers(graph, spec, q_values)
    given = [_value(part.name, part.dtype, *part.shape, note=part.note) for part in inputs]
    answers = [
        _value(Q_VALUES, np.float32, spec.num_actions),
        _value(ACTION, np.int64),
    ]
    if spec.is_masked:
        given.append(_value(MASK, np.bool_, spec.num_actions, note="true: allowed"))
    if units:
        given.append(_value(STATE, np.float32, units, note=_STATE_NOTE))
        answers.append(_value(NEW_STATE, np.float32, units))
    body = helper.make_graph(graph.nodes, "q_network", given, answers, graph.constants)
    return _checked(body, spec, facts)


def _value(name: str, dtype: Any, *shape: int, note: str = "") -> onnx.ValueInfoProto:
    """An input or output, whose first axis is the batch."""
    return helper.make_tensor_value_info(name, tensor_type(dtype), [BATCH, *shape], note)


def _add_network(
    graph: Graph, network: QNetwork, params: NetworkParams, inputs: Sequence[Input]
) -> str:
    """Add the outputs for all actions, in the order of `QFunction.apply`; returns them."""
    if isinstance(network, SymmetricNetwork):
        images = add_images(graph, network, inputs)
        outputs = _add_network(graph, network.network, params, images)
        return add_mean(graph, network, outputs, axis_of_actions(network.head))
    if not isinstance(network, LayeredNetwork | RecurrentNetwork):
        raise untranslatable(network)
    features = _add_encoder(graph, network.encoder, params, inputs)
    if isinstance(network, RecurrentNetwork):
        features = add_memory(graph, network.memory, params.memory, features, "memory")
    return _add_readout(graph, network.readout, params, features)


def _add_encoder(
    graph: Graph, encoder: Encoder, params: NetworkParams, inputs: Sequence[Input]
) -> str:
    """Add the features of all inputs, side by side; returns them."""
    parts = zip(encoder.torsos, params.torsos, inputs, strict=True)
    features = [
        add_torso(graph, torso, own, source, f"torsos.{index}")
        for index, (torso, own, source) in enumerate(parts)
    ]
    return features[0] if len(features) == 1 else graph.add("Concat", *features, axis=1)


def _add_readout(graph: Graph, readout: Readout, params: NetworkParams, features: str) -> str:
    """Add the hidden layers and the outputs for all actions; returns these."""
    if not readout.hidden:
        features = add_conditioning(graph, readout.head, params.head, features)
    for index, (layer, own) in enumerate(zip(readout.hidden, params.hidden, strict=True)):
        features = add_layer(graph, layer, own, features, f"hidden.{index}")
        features = add_activation(graph, readout.activation, features)
        if index == 0:
            features = add_conditioning(graph, readout.head, params.head, features)
    return add_outputs(graph, readout.output, params.output, features, "output")


def _add_answers(graph: Graph, spec: EnvironmentSpec, q_values: str) -> None:
    """Add the two outputs of the graph."""
    if spec.is_masked:
        forbidden = graph.constant("forbidden", np.array(-np.inf, np.float32))
        graph.add("Where", MASK, q_values, forbidden, output=Q_VALUES)
    else:
        graph.add("Identity", q_values, output=Q_VALUES)
    best = graph.add("ArgMax", Q_VALUES, axis=1, keepdims=0)
    first = graph.constant("first_action", np.array(spec.first_action, np.int64))
    graph.add("Add", best, first, output=ACTION)


def _checked(graph: onnx.GraphProto, spec: EnvironmentSpec, facts: Mapping[str, Any]) -> bytes:
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="frankrl",
        producer_version=facts["frank_version"],
        doc_string=f"An agent of {spec.env_id}, trained by Frank.",
    )
    helper.set_model_props(model, as_texts(facts))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
