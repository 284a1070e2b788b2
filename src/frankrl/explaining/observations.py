"""The observations s and s′ of a transition, part by part, and the actions not allowed in them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Shaped

from frankrl.core.types import Transition
from frankrl.environments import EnvironmentSpec
from frankrl.environments.leaves import Leaf
from frankrl.explaining.document import Block, Cell, Formula, Line, Vectors

_MAX_COMPONENTS = 12
"""A larger leaf, such as an image, is summarised."""
_MAX_NUMBERED = 64
"""Numbered values are told one by one up to this number of them: their mean says nothing."""
_LABELS = ("s", "s′")


class Component(NamedTuple):
    """One component of a state."""

    name: str
    value: Cell
    """A number, or what a numbered value means."""


def components(
    leaf: Leaf, state: Shaped[np.ndarray, "*shape"], spec: EnvironmentSpec
) -> list[Component]:
    """The components of a leaf, by name and value.

    Args:
        leaf: the leaf.
        state: its values as they are stored; numbered ones begin at 0.
        spec: the environment.

    Returns:
        One for each; numbered values with the environment's own numbers or words.
    """
    names, values = spec.leaf_component_names(leaf), np.ravel(state)
    if leaf.num_values is None or leaf.first_values is None:
        return [Component(*pair) for pair in zip(names, values.tolist(), strict=True)]
    own = (values.astype(np.int64) + np.array(leaf.first_values)).tolist()
    if leaf.shape != ():
        return [Component(*pair) for pair in zip(names, own, strict=True)]
    return [Component(names[0], _in_words(leaf, own[0], spec))]


def _in_words(leaf: Leaf, number: int, spec: EnvironmentSpec) -> Cell:
    """A numbered value: a state keeps its number beside what it means."""
    meaning = spec.value_name(leaf, number)
    if not leaf.name and meaning:
        return f"{number} ({meaning})"
    return meaning or number


def state_blocks(batch: Transition, index: int, spec: EnvironmentSpec) -> list[Block]:
    """The blocks that show s and s′.

    Args:
        batch: the transitions, as NumPy arrays.
        index: position of the transition in the batch.
        spec: the environment, for the names of leaves, components and actions.
    """
    states = [
        [leaf[index] for leaf in jax.tree.leaves(observation)]
        for observation in (batch.observation, batch.next_observation)
    ]
    numbered = all(leaf.num_values is not None for leaf in spec.leaves)
    blocks: list[Block] = []
    if numbered and sum(leaf.size for leaf in spec.leaves) <= _MAX_NUMBERED:
        blocks += _together(spec.leaves, _LABELS, states, spec)
    else:
        for leaf, *pair in zip(spec.leaves, *states, strict=True):
            labels = [f"{label} {leaf.name}".rstrip() for label in _LABELS]
            blocks += _leaf_blocks(leaf, labels, pair, spec)
    for label, mask in zip(_LABELS, (batch.mask, batch.next_mask), strict=True):
        if mask is not None:
            blocks.append(_forbidden(label, mask[index], spec))
    return blocks


def _leaf_blocks(
    leaf: Leaf,
    labels: Sequence[str],
    states: Sequence[Shaped[np.ndarray, "*shape"]],
    spec: EnvironmentSpec,
) -> list[Block]:
    most = _MAX_COMPONENTS if leaf.num_values is None else _MAX_NUMBERED
    if leaf.size > most:
        return [
            Formula((f"{label} = ", state.size, " numbers, mean ", float(np.mean(state))))
            for label, state in zip(labels, states, strict=True)
        ]
    return _together([leaf], labels, [[state] for state in states], spec)


def _together(
    leaves: Sequence[Leaf],
    labels: Sequence[str],
    states: Sequence[Sequence[Shaped[np.ndarray, "*shape"]]],
    spec: EnvironmentSpec,
) -> list[Block]:
    """Some leaves in one block: for each label its components by name and value."""
    rows = [
        [
            one
            for leaf, part in zip(leaves, parts, strict=True)
            for one in components(leaf, part, spec)
        ]
        for parts in states
    ]
    if len(rows[0]) == 1 and leaves[0].num_values is not None:
        return [
            Formula((f"{label} = ", row[0].value)) for label, row in zip(labels, rows, strict=True)
        ]
    names = tuple(one.name for one in rows[0])
    return [
        Vectors(
            names,
            tuple(
                (label, tuple(one.value for one in row))
                for label, row in zip(labels, rows, strict=True)
            ),
        )
    ]


def _forbidden(label: str, allowed: Bool[np.ndarray, " action"], spec: EnvironmentSpec) -> Block:
    actions = np.flatnonzero(~allowed)
    names = ", ".join(spec.action_names[action] for action in actions) or "nothing"
    if len(actions) > _MAX_COMPONENTS:
        names = f"{len(actions):,} of {len(allowed):,} actions"
    return Line(f"not allowed in {label}: {names}")
