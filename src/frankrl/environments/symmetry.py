"""Symmetries: maps of observations and actions under which an environment stays the same."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from frankrl.core.text import given as given_value
from frankrl.core.text import shown
from frankrl.environments.leaves import Leaf

MAX_IMAGES = 64
"""Most images of an observation under the symmetries of an environment, itself included."""
_MAX_NAME = 60
_LEAF_KEYS = {"components", "signs", "values"}


@dataclass(frozen=True)
class LeafSymmetry:
    """What a symmetry makes of one leaf of an observation; compares by value."""

    components: tuple[int, ...]
    """Component i of the image is component `components[i]` of the leaf, counted row by row."""
    signs: tuple[int, ...]
    """Its sign, 1 or -1; empty: all stay."""
    values: tuple[tuple[int, ...], ...]
    """Of numbered values, which index each index of a component of the image becomes; empty: all
    stay."""

    @functools.cached_property
    def is_identity(self) -> bool:
        """Whether the leaf stays as it is."""
        same = all(table == tuple(range(len(table))) for table in self.values)
        return same and not self._moves and -1 not in self.signs

    @functools.cached_property
    def _moves(self) -> bool:
        return self.components != tuple(range(len(self.components)))

    def after(self, first: "LeafSymmetry") -> "LeafSymmetry":
        """The map that does `first` and then this one."""
        components = tuple(first.components[source] for source in self.components)
        signs = tuple(
            own * first.signs[source]
            for own, source in zip(self.signs, self.components, strict=bool(self.signs))
        )
        values = tuple(
            tuple(own[index] for index in first.values[source])
            for own, source in zip(self.values, self.components, strict=bool(self.values))
        )
        return LeafSymmetry(components, signs, values)

    def image(self, leaf: Shaped[Any, "*batch_and_leaf"], num_axes: int) -> Any:
        """The image of a leaf.

        Args:
            leaf: NumPy or JAX array, with any axes in front of its own.
            num_axes: number of its own axes.
        """
        if self.is_identity:
            return leaf
        in_front = leaf.shape[: leaf.ndim - num_axes]
        image = leaf.reshape(*in_front, len(self.components))
        if self._moves:
            image = image[..., self._sources]
        if self.values:
            tables, rows = self._tables
            image = leaf.__array_namespace__().asarray(tables)[rows, image]
        elif -1 in self.signs:
            image = image * self._factors
        return image.reshape(leaf.shape)

    @functools.cached_property
    def _sources(self) -> np.ndarray:
        return np.array(self.components, np.int32)

    @functools.cached_property
    def _factors(self) -> np.ndarray:
        return np.array(self.signs, np.float32)

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """What each index of each component becomes, and the rows of the components in it."""
        tables = np.zeros((len(self.values), max(map(len, self.values))), np.int32)
        for row, table in zip(tables, self.values, strict=True):
            row[: len(table)] = table
        return tables, np.arange(len(self.values), dtype=np.int32)


@dataclass(frozen=True)
class Symmetry:
    """A map g of observations and actions: if s, a leads to s′ with reward r, then g s, g a leads
    to g s′ with the same reward. Compares by value."""

    name: str
    """What it is, for people; empty if the environment does not say."""
    leaves: tuple[LeafSymmetry, ...]
    """What it makes of each leaf of an observation, in their order."""
    actions: tuple[int, ...]
    """The index of the action that each action becomes."""

    def after(self, first: "Symmetry") -> "Symmetry":
        """The map that does `first` and then this one."""
        return Symmetry(
            "",
            tuple(one.after(other) for one, other in zip(self.leaves, first.leaves, strict=True)),
            tuple(self.actions[action] for action in first.actions),
        )


def images_under(
    symmetries: Sequence[Symmetry], leaves: Sequence[Leaf], num_actions: int
) -> tuple[Symmetry, ...]:
    """The group that symmetries make: all their products, the identity first.

    Raises:
        ValueError: there are more than `MAX_IMAGES`.
    """
    identity = Symmetry("", tuple(map(_unchanged, leaves)), tuple(range(num_actions)))
    found = [identity]
    for one in found:
        for symmetry in symmetries:
            product = symmetry.after(one)
            if all((product.leaves, product.actions) != (g.leaves, g.actions) for g in found):
                found.append(product)
        if len(found) > MAX_IMAGES:
            raise ValueError(f"together they make more than {MAX_IMAGES} images of a state")
    return tuple(found)


def symmetries_of(declared: Any, leaves: Sequence[Leaf], num_actions: int) -> tuple[Symmetry, ...]:
    """The symmetries that an environment declares.

    Args:
        declared: a list of mappings, as `docs/symmetry.md` describes them. May be anything.
        leaves: leaves of its observations.
        num_actions: number of its actions.

    Raises:
        ValueError: it is something else; the message says what.
    """
    if not isinstance(declared, list | tuple):
        raise ValueError(f"a {type(declared).__name__} where a list of mappings belongs")
    found = tuple(_symmetry(entry, leaves, num_actions) for entry in declared)
    images_under(found, leaves, num_actions)
    return found


def symmetries_to_data(symmetries: Sequence[Symmetry], leaves: Sequence[Leaf]) -> list[Any]:
    """Symmetries as JSON data, in the form in which an environment declares them."""
    return [
        {
            "name": symmetry.name,
            "observation": {
                leaf.name: {
                    key: value
                    for key, value in (
                        ("components", list(own.components)),
                        ("signs", list(own.signs)),
                        ("values", [list(table) for table in own.values]),
                    )
                    if value
                }
                for leaf, own in zip(leaves, symmetry.leaves, strict=True)
                if not own.is_identity
            },
            "actions": list(symmetry.actions),
        }
        for symmetry in symmetries
    ]


def _symmetry(entry: Any, leaves: Sequence[Leaf], num_actions: int) -> Symmetry:
    _check_keys(entry, {"name", "observation", "actions"}, "a symmetry")
    given = entry.get("observation", {})
    if len(leaves) == 1 and isinstance(given, Mapping):
        name, keys = leaves[0].name, set(given)
        # An observation without entries has no other name than the empty one.
        if keys & _LEAF_KEYS or not (name or keys <= {name}):
            given = {name: given}
    _check_keys(given, {leaf.name for leaf in leaves}, "its observation")
    return Symmetry(
        shown(entry.get("name", ""), _MAX_NAME),
        tuple(_leaf_symmetry(given.get(leaf.name, {}), leaf) for leaf in leaves),
        _permutation(entry.get("actions", range(num_actions)), num_actions, "actions"),
    )


def _leaf_symmetry(given: Any, leaf: Leaf) -> LeafSymmetry:
    where = f"its entry {leaf.name!r}" if leaf.name else "its observation"
    _check_keys(given, _LEAF_KEYS, where)
    same = _unchanged(leaf)
    components = _permutation(given.get("components", same.components), leaf.size, "components")
    signs = tuple(_whole_numbers(given.get("signs", same.signs), "signs"))
    if len(signs) != len(same.signs) or not set(signs) <= {1, -1}:
        what = f"{leaf.size} times 1 or -1" if same.signs else "nothing: it holds no real numbers"
        raise ValueError(f"signs {given_value(signs)}, wanted {what}")
    counts = leaf.num_values or ()
    values = given.get("values", same.values)
    if not isinstance(values, list | tuple) or len(values) != len(counts):
        raise ValueError(f"values {given_value(values)}, wanted one list for each numbered value")
    tables = []
    for target, table in enumerate(values):
        size = counts[components[target]]
        if size != counts[target]:
            raise ValueError(f"components that swap values of {size} and of {counts[target]} kinds")
        tables.append(_permutation(table, size, "values"))
    return LeafSymmetry(components, signs, tuple(tables))


def _unchanged(leaf: Leaf) -> LeafSymmetry:
    """The map that leaves a leaf as it is."""
    values = tuple(tuple(range(count)) for count in leaf.num_values or ())
    signs = (1,) * leaf.size if leaf.dtype.kind == "f" else ()
    return LeafSymmetry(tuple(range(leaf.size)), signs, values)


def _permutation(given: Any, size: int, name: str) -> tuple[int, ...]:
    numbers = tuple(_whole_numbers(given, name))
    if sorted(numbers) != list(range(size)):
        raise ValueError(f"{name} {given_value(numbers)}, wanted 0 to {size - 1}, each once")
    return numbers


def _whole_numbers(given: Any, name: str) -> list[int]:
    if isinstance(given, list | tuple | range | np.ndarray):
        numbers = np.asarray(given)
        if not numbers.size or (numbers.ndim == 1 and numbers.dtype.kind in "iu"):
            return numbers.tolist()
    raise ValueError(f"{name} {given_value(given)}, wanted a list of whole numbers")


def _check_keys(given: Any, known: set[str], what: str) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is a {type(given).__name__}, wanted a mapping")
    if unknown := [key for key in given if key not in known]:
        names = ", ".join(repr(name) for name in sorted(known))
        raise ValueError(f"{what} has the entry {given_value(unknown[0])}, known are {names}")
