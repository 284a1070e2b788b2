"""The parameters of a network by name, as other files and tools know them.

A name is the dotted path of an array in the parameters: `torsos.0.0.weight`, `hidden.1.bias`,
`output.weight`. A dense layer's weight has the shape [inputs, outputs].
"""

from collections.abc import Mapping

import jax
import numpy as np

from frankrl.core.errors import SettingError
from frankrl.core.text import shown
from frankrl.core.types import Params

_MAX_SAID = 4
"""Arrays that a message names."""


def named_params(params: Params) -> dict[str, np.ndarray]:
    """The arrays of a network's parameters by their names, in the order of the parameters."""
    leaves, _ = jax.tree.flatten_with_path(params)
    return {dotted_name(path): np.asarray(leaf) for path, leaf in leaves}


def params_from_names(shapes: Params, arrays: Mapping[str, np.ndarray]) -> Params:
    """The reverse of `named_params`.

    Args:
        shapes: the network's own parameters, or their shapes (`QNetwork.shapes`).
        arrays: all arrays of the network by name, and no others.

    Raises:
        SettingError: one is missing, unknown to the network, or of another shape or dtype; the
            message names it, what was given and what is wanted.
    """
    leaves, structure = jax.tree.flatten_with_path(shapes)
    wanted = {dotted_name(path): leaf for path, leaf in leaves}
    misfits = [
        f"{name} should be {_kind(leaf)} and is {_kind(arrays.get(name))}"
        for name, leaf in wanted.items()
        if _kind(leaf) != _kind(arrays.get(name))
    ]
    misfits += [
        f"{shown(name)} ({_kind(array)}) is unknown to this network"
        for name, array in arrays.items()
        if name not in wanted
    ]
    if misfits:
        more = f"; and {len(misfits) - _MAX_SAID} more" * (len(misfits) > _MAX_SAID)
        raise SettingError(f"{'; '.join(misfits[:_MAX_SAID])}{more}")
    return jax.tree.unflatten(structure, [arrays[name] for name in wanted])


def dotted_name(path: tuple) -> str:
    """The name of the array at a place in the parameters."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _kind(array: np.ndarray | jax.ShapeDtypeStruct | None) -> str:
    return "missing" if array is None else f"{array.dtype}{list(array.shape)}"
