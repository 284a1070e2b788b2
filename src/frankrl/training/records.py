"""Records as named arrays, and back: how the files of a checkpoint are read and written."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from frankrl.core.errors import RunFolderError


def column(
    arrays: Mapping[str, np.ndarray], name: str, dtype: Any, shape: tuple[int | None, ...]
) -> np.ndarray:
    """An array by its name; a length that is None may be any.

    Raises:
        RunFolderError: it is missing, or has another shape or dtype.
    """
    found = arrays.get(name)
    if (
        found is None
        or found.dtype != dtype
        or found.ndim != len(shape)
        or any(wanted not in (None, size) for wanted, size in zip(shape, found.shape, strict=True))
    ):
        raise unfit(name, f"{np.dtype(dtype)}{list(shape)}", found)
    return found


def on_device(tree: Any) -> Any:
    """The record with its leaves copied to the device."""
    return jax.tree.map(jnp.array, tree)


def named(tree: PyTree) -> dict[str, np.ndarray]:
    """The leaves of a record by their path in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def filled(like: Any, arrays: Mapping[str, np.ndarray | None]) -> Any:
    """A record of the same structure as `like`, with leaves taken from `arrays` by name.

    Raises:
        RunFolderError: a leaf is missing, or has another shape or dtype.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    leaves = []
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        found = arrays.get(name)
        if found is None or found.shape != leaf.shape or found.dtype != leaf.dtype:
            raise unfit(name, f"{leaf.dtype}{list(leaf.shape)}", found)
        leaves.append(found)
    return jax.tree.unflatten(structure, leaves)


def unfit(name: str, wanted: str, found: np.ndarray | None) -> RunFolderError:
    """The error of an array that does not fit the run's settings."""
    what = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
    return RunFolderError(
        f"the checkpoint does not fit the run's settings: {name} should be {wanted}, found {what}"
    )
