"""What a traced function computes: how much, and whether it is the same each time."""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def products(jaxpr: Any) -> int:
    """Multiplications in the matrix products and convolutions of a traced function.

    Args:
        jaxpr: the function; what it calls is counted too, once for each turn of a `scan`.
    """
    count = 0
    for equation in jaxpr.eqns:
        name, shapes = equation.primitive.name, [v.aval.shape for v in equation.invars]
        outputs = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
        if name == "dot_general":
            ((summed, _), _) = equation.params["dimension_numbers"]
            count += outputs * math.prod(shapes[0][axis] for axis in summed)
        elif name == "conv_general_dilated":
            of_output = equation.params["dimension_numbers"].rhs_spec[0]
            count += outputs * math.prod(shapes[1]) // shapes[1][of_output]
        else:
            turns = equation.params.get("length", 1) if name == "scan" else 1
            count += turns * sum(map(products, _inside(equation.params)))
    return count


def _inside(found: Any) -> Iterator[Any]:
    """The functions among the parameters of an operation."""
    if isinstance(found, dict | tuple | list):
        for part in found.values() if isinstance(found, dict) else found:
            yield from _inside(part)
    elif hasattr(found, "eqns"):
        yield getattr(found, "jaxpr", found)


def differ(one: Any, other: Any) -> bool:
    """Whether two traces of a function compute something else.

    Args:
        one: a closed jaxpr.
        other: another one.
    """
    if _ADDRESS.sub("", str(one.jaxpr)) != _ADDRESS.sub("", str(other.jaxpr)):
        return True
    return any(
        not np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
        for a, b in zip(one.consts, other.consts, strict=True)
    )
