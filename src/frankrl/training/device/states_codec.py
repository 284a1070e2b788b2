"""Converts the states of functional environments to the file of a checkpoint, and back."""

from pathlib import Path

import jax

from frankrl.experience.device import DeviceSource
from frankrl.runs.checkpoint import Tensors, load_checkpoint
from frankrl.training.codec import check_memory
from frankrl.training.records import filled, named, on_device

_FILE = "environments"
"""File of where each environment stands."""


def environment_tensors(source: DeviceSource) -> dict[str, Tensors]:
    """The file of a checkpoint that holds where each environment stands."""
    return {_FILE: named(source.states)}


def restore_environments(source: DeviceSource, checkpoint: Path) -> None:
    """Let the environments stand where they stood at a checkpoint.

    Raises:
        DamagedError: the file is damaged, or no network remembers such numbers.
        RunFolderError: it does not fit the environment.
    """
    like = source.shapes
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    loaded = load_checkpoint(checkpoint, {_FILE: size})
    states = filled(like, loaded.tensors[_FILE])
    check_memory(states.memory, checkpoint)
    source.states = on_device(states)
