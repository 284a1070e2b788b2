"""An ONNX graph that grows node by node. The other files here translate the kinds of layers."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from jaxtyping import Shaped
from onnx import helper, numpy_helper

OPSET = 17
"""Version of ONNX's operators: the first with `LayerNormalization`. onnxruntime reads it since its
version 1.12, of 2022."""
IR_VERSION = 8
"""Version of ONNX's file format that belongs to `OPSET`."""
BATCH = "batch"
"""Name of the axis whose length is free."""


class Graph:
    """The nodes and constants of a graph. A value is known by its name."""

    def __init__(self, taken: Iterable[str]) -> None:
        """An empty graph.

        Args:
            taken: names of the inputs and outputs, which no other value may have.
        """
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken = set(taken)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output.

        Args:
            operator: name of the ONNX operator.
            inputs: names of its inputs.
            output: the name that its output must have; empty: any.
            **attributes: attributes of the operator.
        """
        output = output or self._free(operator.lower())
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def reserve(self, names: Iterable[str]) -> None:
        """Have no other value get one of these names."""
        self._taken.update(names)

    def constant(self, name: str, array: Shaped[Any, "..."]) -> str:
        """Add an array; returns its name, which has a number at its end if it was taken."""
        name = self._free(name)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def split(self, value: str, sizes: tuple[int, ...], axis: int) -> list[str]:
        """Parts of a value along an axis; returns their names."""
        outputs = [self._free("split") for _ in sizes]
        inputs = [value, self.constant("sizes", np.array(sizes, np.int64))]
        self.nodes.append(helper.make_node("Split", inputs, outputs, name=outputs[0], axis=axis))
        return outputs

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}_{number}"
        self._taken.add(free)
        return free


def tensor_type(dtype: Any) -> int:
    """ONNX's number for a dtype of NumPy."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
