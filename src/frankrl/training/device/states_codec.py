"""Converts the states of functional environments to the file of a checkpoint, and back."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from frankrl.experience.device import DeviceSource, EnvironmentStates
from frankrl.runs.checkpoint import Tensors, load_checkpoint
from frankrl.training.records import filled, named, on_device

_FILE = "environments"
"""File of where each environment stands."""


def environment_tensors(source: DeviceSource) -> dict[str, Tensors]:
    """The file of a checkpoint that holds where each environment stands."""
    return {_FILE: named(_as_data(source.states))}


def restore_environments(source: DeviceSource, checkpoint: Path) -> None:
    """Let the environments stand where they stood at a checkpoint.

    Raises:
        DamagedError: the file is damaged.
        RunFolderError: it does not fit the environment.
    """
    states = source.shapes
    like = jax.eval_shape(_as_data, states)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    loaded = load_checkpoint(checkpoint, {_FILE: size})
    data = on_device(filled(like, loaded.tensors[_FILE]))
    source.states = jax.tree.map(_like, states, data)


def _as_data(states: EnvironmentStates) -> EnvironmentStates:
    """The states with the numbers of random keys instead of the keys."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, states)


def _like(leaf: Any, data: Any) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return data


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
