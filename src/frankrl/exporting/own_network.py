"""Networks, and torsos, of the user's own in ONNX: jax2onnx translates the function of JAX."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import onnx
from jax import export

from frankrl.core.errors import MissingExtraError, SettingError
from frankrl.core.normalisation import Scales
from frankrl.core.wording import option
from frankrl.environments import EnvironmentSpec, together
from frankrl.exporting.graph import BATCH, OPSET, Graph
from frankrl.exporting.inputs import NEW_STATE, STATE, Input, as_dtype
from frankrl.networks import QNetwork

_VALUES = "network"
"""Name of the Q-values within the graph, before masks."""
_BEFORE, _AFTER = "network.before", "network.after"
"""Names of the memory within the graph."""


def untranslatable(part: object) -> SettingError:
    """The error of a part of a network that has no translation."""
    name = part if isinstance(part, str) else f"{type(part).__module__}.{type(part).__qualname__}"
    return SettingError(
        f"the network contains {name}, which is not one of Frank's own layers, so it cannot be "
        f"written as ONNX; {option('safetensors', 'FILE')} writes its parameters"
    )


def translated(
    network: QNetwork, params: Any, scales: Scales | None, spec: EnvironmentSpec
) -> onnx.ModelProto:
    """The Q-values of a network with code of the user's own, as a model.

    Its inputs are the leaves of observations as Frank stores them, and with a memory what is
    remembered before them; what is remembered after them is then a second output.

    Args:
        network: the definition.
        params: its parameters.
        scales: how observations are normalised before they get into it; None: they are not.
        spec: the environment.

    Raises:
        MissingExtraError: jax2onnx is not installed.
        SettingError: jax2onnx cannot translate it.
    """
    try:
        from jax2onnx import to_onnx  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        feature = f"{option('onnx')} for a network of your own"
        raise MissingExtraError(feature, "jax2onnx", "onnx-own") from error

    def q_values(*given: Any) -> Any:
        observation = together(spec.structure, given[: len(spec.leaves)])
        if scales is not None:
            observation = scales.of_observation(observation)
        memory = given[-1] if network.memory_units else None
        found, memory = network.q_step(params, observation, None, memory)
        return found if memory is None else (found, memory)

    stack = (spec.preprocessing.frame_stack,) * (spec.preprocessing.frame_stack > 1)
    (batch,) = export.symbolic_shape(BATCH)
    shapes = [
        jax.ShapeDtypeStruct((batch, *stack, *leaf.shape), leaf.dtype) for leaf in spec.leaves
    ]
    names, results = [_leaf_name(index) for index in range(len(shapes))], [_VALUES]
    if network.memory_units:
        shapes.append(jax.ShapeDtypeStruct((batch, network.memory_units), np.float32))
        names.append(_BEFORE)
        results.append(_AFTER)
    try:
        # It warns of numbers in 64 bits that JAX makes numbers in 32 bits.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return to_onnx(q_values, shapes, opset=OPSET, input_names=names, output_names=results)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SettingError(
            f"jax2onnx cannot translate the network: {type(error).__name__}: {reason}; "
            f"{option('safetensors', 'FILE')} writes its parameters"
        ) from error


def add_translated(
    graph: Graph,
    model: onnx.ModelProto,
    spec: EnvironmentSpec,
    inputs: Sequence[Input],
    *,
    remembers: bool,
) -> str:
    """Add a translated network to a graph, between its inputs and its Q-values.

    Args:
        graph: knows the names in the model (`names_in`).
        model: result of `translated`.
        spec: the environment.
        inputs: the leaves of observations in the environment's own numbers.
        remembers: whether the network has a memory.

    Returns:
        The Q-values, float32[batch, action].
    """
    for index, (source, leaf) in enumerate(zip(inputs, spec.leaves, strict=True)):
        value = as_dtype(graph, source, leaf.dtype)
        if source.first_values and any(source.first_values):
            first = np.resize(source.first_values, leaf.shape).astype(leaf.dtype)
            value = graph.add("Sub", value, graph.constant("first_values", first))
        graph.add("Identity", value, output=_leaf_name(index))
    if remembers:
        graph.add("Identity", STATE, output=_BEFORE)
    graph.nodes.extend(model.graph.node)
    if remembers:
        graph.add("Identity", _AFTER, output=NEW_STATE)
    graph.constants.extend(model.graph.initializer)
    return _VALUES


def names_in(model: onnx.ModelProto) -> set[str]:
    """The names of all values of a model."""
    nodes, constants = model.graph.node, model.graph.initializer
    made = (name for node in nodes for name in (*node.input, *node.output))
    return {*made, *(constant.name for constant in constants)} - {""}


def _leaf_name(index: int) -> str:
    return f"{_VALUES}.{index}"
