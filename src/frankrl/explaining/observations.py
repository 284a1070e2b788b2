"""The observations s and s′ of a transition, part by part, and the actions not allowed in them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Shaped

from frankrl.core.types import Transition
from frankrl.environments import EnvironmentSpec
from frankrl.environments.leaves import Leaf
from frankrl.explaining.document import Block, Cell, Formula, Line, Vectors
from frankrl.explaining.picture_blocks import picture_blocks
from frankrl.explaining.pictures import age_name, picture_leaves

_MAX_COMPONENTS = 12
"""A larger leaf that holds no picture is summarised."""
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


def state_blocks(
    batch: Transition,
    index: int,
    spec: EnvironmentSpec,
    ages: tuple[int, int],
    saliency: Sequence[Float[np.ndarray, "height width"]] = (),
) -> list[Block]:
    """The blocks that show s and s′.

    Args:
        batch: the transitions, as NumPy arrays.
        index: position of the transition in the batch.
        spec: the environment, for the names of leaves, components and actions.
        ages: how many observations its episode had shown at s, and at s′.
        saliency: for each picture leaf, the map that is laid over the newest picture of s; empty:
            none.
    """
    states = [
        [leaf[index] for leaf in jax.tree.leaves(observation)]
        for observation in (batch.observation, batch.next_observation)
    ]
    count, leaves = spec.preprocessing.frame_stack, spec.leaves
    numbered = all(leaf.num_values is not None for leaf in leaves)
    blocks: list[Block] = []
    if numbered and sum(leaf.size for leaf in leaves) <= _MAX_NUMBERED:
        blocks += _together(leaves, *_one_by_one(_LABELS, states, ages, count), spec)
    else:
        pictures = picture_leaves(spec)
        maps = dict(zip(pictures, saliency, strict=True)) if saliency else {}
        for place, (leaf, *pair) in enumerate(zip(leaves, *states, strict=True)):
            labels = [f"{label} {leaf.name}".rstrip() for label in _LABELS]
            if place in pictures:
                blocks += picture_blocks(pictures[place], labels, pair, ages, maps.get(place))
            else:
                each = [[state] for state in pair]
                blocks += _leaf_blocks(leaf, *_one_by_one(labels, each, ages, count), spec)
    for label, mask in zip(_LABELS, (batch.mask, batch.next_mask), strict=True):
        if mask is not None:
            blocks.append(_forbidden(label, mask[index], spec))
    return blocks


def _one_by_one(
    labels: Sequence[str],
    states: Sequence[Sequence[Shaped[np.ndarray, "*stack_and_shape"]]],
    ages: tuple[int, int],
    count: int,
) -> tuple[list[str], list[list[Shaped[np.ndarray, "*shape"]]]]:
    """The observations in each state's stack with a label, the newest first.

    Without stacking they are the states themselves.
    """
    if count == 1:
        return list(labels), [list(leaves) for leaves in states]
    shown, rows = [], []
    for label, leaves, observed in zip(labels, states, ages, strict=True):
        for age in range(count):
            before = "" if age < observed else " (before the start: zeros)"
            shown.append(f"{label}, {age_name(age)}{before}")
            rows.append([leaf[count - 1 - age] for leaf in leaves])
    return shown, rows


def _leaf_blocks(
    leaf: Leaf,
    labels: Sequence[str],
    states: Sequence[Sequence[Shaped[np.ndarray, "*shape"]]],
    spec: EnvironmentSpec,
) -> list[Block]:
    most = _MAX_COMPONENTS if leaf.num_values is None else _MAX_NUMBERED
    if leaf.size > most:
        return [
            Formula((f"{label} = ", state.size, " numbers, mean ", float(np.mean(state))))
            for label, (state,) in zip(labels, states, strict=True)
        ]
    return _together([leaf], labels, states, spec)


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
