"""The observations s and s′ of a transition, leaf by leaf, and the actions not allowed in them."""

import jax
import numpy as np
from jaxtyping import Bool, Shaped

from frankrl.core.types import Transition
from frankrl.environments import EnvironmentSpec
from frankrl.environments.leaves import Leaf
from frankrl.explaining.document import Block, Formula, Line, Vectors

_MAX_COMPONENTS = 12
"""A larger leaf, such as an image, is summarised."""
_LABELS = ("s", "s′")


def state_blocks(batch: Transition, index: int, spec: EnvironmentSpec) -> list[Block]:
    """The blocks that show s and s′.

    Args:
        batch: the transitions, as NumPy arrays.
        index: position of the transition in the batch.
        spec: the environment, for the names of leaves, components and actions.
    """
    before, after = (
        [leaf[index] for leaf in jax.tree.leaves(observation)]
        for observation in (batch.observation, batch.next_observation)
    )
    blocks: list[Block] = []
    for leaf, *states in zip(spec.leaves, before, after, strict=True):
        blocks += _leaf_blocks(leaf, states, spec)
    for label, mask in zip(_LABELS, (batch.mask, batch.next_mask), strict=True):
        if mask is not None:
            blocks.append(_forbidden(label, mask[index], spec))
    return blocks


def _leaf_blocks(
    leaf: Leaf, states: list[Shaped[np.ndarray, "*shape"]], spec: EnvironmentSpec
) -> list[Block]:
    names = [f"{label} {leaf.name}".rstrip() for label in _LABELS]
    rows = [(name, np.ravel(state)) for name, state in zip(names, states, strict=True)]
    if leaf.first_values is not None:
        # Numbered values are shown with the environment's own numbers.
        rows = [(name, row + np.array(leaf.first_values, row.dtype)) for name, row in rows]
    if leaf.num_values is not None and leaf.shape == ():
        return [Formula((f"{name} = ", row[0].item())) for name, row in rows]
    if leaf.size > _MAX_COMPONENTS:
        return [
            Formula((f"{name} = ", len(row), " numbers, mean ", float(np.mean(row))))
            for name, row in rows
        ]
    components = spec.leaf_component_names(leaf)
    return [Vectors(components, tuple((name, tuple(row.tolist())) for name, row in rows))]


def _forbidden(label: str, allowed: Bool[np.ndarray, " action"], spec: EnvironmentSpec) -> Block:
    actions = np.flatnonzero(~allowed)
    names = ", ".join(spec.action_names[action] for action in actions) or "nothing"
    if len(actions) > _MAX_COMPONENTS:
        names = f"{len(actions):,} of {len(allowed):,} actions"
    return Line(f"not allowed in {label}: {names}")
