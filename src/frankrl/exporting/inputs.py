"""The inputs of an exported network: one for each leaf of an observation, the action mask, and what
a network with a memory remembers."""

from typing import Any, NamedTuple

import numpy as np

from frankrl.environments import EnvironmentSpec, Leaf
from frankrl.exporting.graph import Graph, tensor_type
from frankrl.exporting.leaf_spaces import leaf_spaces

MASK, Q_VALUES, ACTION = "action_mask", "q_values", "action"
STATE, NEW_STATE = "state", "new_state"
"""Of a network with a memory: what it remembers before an observation, and after it."""
_ALONE = "observation"
"""Name of an observation without entries, and what stands before a name that cannot be kept."""


class Input(NamedTuple):
    """An input that holds one leaf of an observation."""

    name: str
    dtype: np.dtype
    """As the environment's own observations."""
    shape: tuple[int, ...]
    """Of one observation, or of a stack of them."""
    first_values: tuple[int, ...]
    """The environment's own number for index 0 of each index; empty for other leaves."""
    note: str
    """What a reader must know to fill it."""


def inputs_of(spec: EnvironmentSpec, *, remembers: bool = False) -> tuple[Input, ...]:
    """The inputs of a network, one for each leaf, in the order of the leaves.

    Args:
        spec: the environment.
        remembers: whether the network has a memory, which takes the names `state` and `new_state`.
    """
    count = spec.preprocessing.frame_stack
    stack = (count,) if count > 1 else ()
    found = zip(
        _names(spec, remembers=remembers), spec.leaves, leaf_spaces(spec.state_space), strict=True
    )
    return tuple(
        Input(
            name=name,
            dtype=np.dtype(part.dtype),
            shape=(*stack, *leaf.shape),
            first_values=leaf.first_values or (),
            note=_note(leaf, count),
        )
        for name, leaf, part in found
    )


def as_dtype(graph: Graph, source: Input, dtype: Any) -> str:
    """The input in another dtype."""
    if source.dtype == dtype:
        return source.name
    return graph.add("Cast", source.name, to=tensor_type(dtype))


def _names(spec: EnvironmentSpec, *, remembers: bool) -> list[str]:
    """The paths of the leaves in an observation: `observation`, `image`, `inner.position`.

    A path that begins with a number, as in a tuple, or that is the name of something else, comes
    after `observation.`.
    """
    entries = spec.mask_entries
    above = entries.state[0] if entries and len(entries.state) == 1 else ""
    taken, names = {MASK, Q_VALUES, ACTION}, []
    if remembers:
        taken |= {STATE, NEW_STATE}
    for leaf in spec.leaves:
        name = ".".join(filter(None, (above, leaf.name))) or _ALONE
        while name in taken or name[0].isdigit():
            name = f"{_ALONE}.{name}"
        taken.add(name)
        names.append(name)
    return names


def _note(leaf: Leaf, frame_stack: int) -> str:
    notes = []
    if frame_stack > 1:
        notes.append(
            f"the newest {frame_stack} observations of the episode, the oldest first, and "
            f"{'the first value of each index' if leaf.num_values else 'zeros'} before its first"
        )
    if leaf.num_values:
        ranges = {
            f"{first} to {first + count - 1}"
            for first, count in zip(leaf.first_values or (), leaf.num_values, strict=True)
        }
        notes.append(f"whole numbers from {' or '.join(sorted(ranges))}")
    return "; ".join(notes)
