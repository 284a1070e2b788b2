"""Steps a functional environment from states and from their mirror images, and compares."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt32

from frankrl.core.compiling import compiled_quickly
from frankrl.core.errors import EnvironmentUnusableError
from frankrl.core.figures import figure
from frankrl.environments.mirror_images import fact_names
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.symmetry import Symmetry

if TYPE_CHECKING:
    from frankrl.environments.functional.protocol import FunctionalEnvironment

_NUM_STATES, _NUM_STEPS = 64, 60
"""Episodes that are played together, and steps of each."""
_TOLERANCE = 1e-5
"""Largest difference after one step, as a share of the largest value seen: float32 rounds to 6e-8,
and a step of physics adds some of that."""

MirrorState = Callable[[int, Any], Any]
"""From the index of a symmetry and a state to the state's mirror image."""


class _Steps(NamedTuple):
    """What steps from states show, and what those from the mirror images do; a row for each."""

    shown: Any
    after: Any
    """The mirror images of the states arrived at."""
    other_shown: Any
    other_after: Any


def different_steps(
    spec: EnvironmentSpec,
    symmetry: Symmetry,
    index: int,
    environment: "FunctionalEnvironment",
    mirror_state: MirrorState,
) -> str:
    """In what a step from a state differs from one from its mirror image; empty: in nothing.

    Random actions are taken in `_NUM_STATES` episodes. Each step is also taken from the mirror
    image of its state with the image of its action and the same key. What both show must be mirror
    images, and so must the states that they lead to: so what follows is one, too.

    Args:
        spec: its description.
        symmetry: what is compared.
        index: its place among those that the environment declares.
        environment: its functions.
        mirror_state: makes the mirror image of a state.

    Raises:
        EnvironmentUnusableError: it does not, or cannot be called.
    """
    steps = _played(spec.env_id, symmetry, index, environment, mirror_state)
    expected, found = _facts(spec, steps.shown), _facts(spec, steps.other_shown)
    expected = _mirrored(spec, symmetry, expected)
    names, is_whole = fact_names(spec), _is_whole(spec)
    expected_state, found_state = map(_numbers, (steps.after, steps.other_after))
    names = [*names, *("a number of the state",) * expected_state.shape[1]]
    is_whole = np.concatenate((is_whole, _are_whole(steps.after)))
    expected = np.concatenate((expected, expected_state), axis=1)
    found = np.concatenate((found, found_state), axis=1)
    differs = _differs(expected, found, is_whole)
    if not differs.any():
        return ""
    row, fact = np.argwhere(differs)[0]
    return (
        f"{names[fact]} should be {figure(float(expected[row, fact]))} in the mirror image of step "
        f"{row // _NUM_STATES + 1}, and is {figure(float(found[row, fact]))}"
    )


def _differs(
    expected: Float[np.ndarray, "step fact"],
    found: Float[np.ndarray, "step fact"],
    is_whole: Bool[np.ndarray, " fact"],
) -> Bool[np.ndarray, "step fact"]:
    largest = np.where(np.isfinite(expected), np.abs(expected), 0).max(axis=0)
    allowed = np.where(is_whole, 0, _TOLERANCE * largest)
    return ~((np.abs(expected - found) <= allowed) | (expected == found))


def _played(
    env_id: str,
    symmetry: Symmetry,
    index: int,
    environment: "FunctionalEnvironment",
    mirror_state: MirrorState,
) -> _Steps:
    """Steps of random episodes and their mirror images, in the order of the steps.

    An episode that would end takes other actions from the same state. Random numbers come from
    NumPy, which needs no compiling.

    Raises:
        EnvironmentUnusableError: `mirror_state` returns no state, or cannot be called.
    """
    import jax

    from frankrl.environments.functional.protocol import GENERATOR, episode_key

    compiled = partial(jax.jit, compiler_options=compiled_quickly())

    @compiled
    def begin(key_data: Any) -> Any:
        return environment.reset(jax.random.wrap_key_data(key_data, impl=GENERATOR))[::2]

    @compiled
    @jax.vmap
    def stepped(state: Any, action: Any, key_data: Any) -> Any:
        return environment.step(state, action, jax.random.wrap_key_data(key_data, impl=GENERATOR))

    mirror = compiled(jax.vmap(lambda state: mirror_state(index, state)))
    random, words = np.random.default_rng(0), jax.random.key_data(episode_key(np.uint32(0))).size
    firsts = [begin(_words(random, words)) for _ in range(_NUM_STATES)]
    _check_mirror(env_id, index, firsts[0][0], mirror_state)
    state, mask = jax.tree.map(lambda *parts: np.stack(parts), *firsts)
    images, found = np.array(symmetry.actions, np.int32), []
    for _ in range(_NUM_STEPS):
        chances = random.random((_NUM_STATES, len(images)))
        actions = (chances if mask is None else np.where(mask, chances, -1)).argmax(axis=1)
        key_data = _words(random, _NUM_STATES, words)
        after, shown = _on_host(stepped(state, actions.astype(np.int32), key_data))
        other = _on_host(stepped(mirror(state), images[actions], key_data))
        found.append(_Steps(shown, _on_host(mirror(after)), other[1], other[0]))
        goes_on = ~(shown.terminated | shown.truncated)
        state = jax.tree.map(partial(_chosen, goes_on), after, state)
        mask = None if mask is None else _chosen(goes_on, shown.mask, mask)
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def _check_mirror(env_id: str, index: int, state: Any, mirror_state: MirrorState) -> None:
    import jax

    where = f"{env_id} has a mirror_state that"
    try:
        forms = jax.eval_shape(lambda one: (one, mirror_state(index, one)), state)
    except Exception as error:
        text = " ".join(str(error).split())
        raise EnvironmentUnusableError(
            f"{where} raised {type(error).__name__}: {text:.300}; it takes the index of a symmetry "
            "and a state"
        ) from error
    wanted, found = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), form) for form in forms)
    if wanted != found:
        raise EnvironmentUnusableError(
            f"{where} returns something of another form than the state that it is given"
        )


def _on_host(tree: Any) -> Any:
    import jax

    return jax.tree.map(np.asarray, tree)


def _chosen(
    rows: Bool[np.ndarray, " row"],
    one: Shaped[np.ndarray, "row *rest"],
    other: Shaped[np.ndarray, "row *rest"],
) -> Shaped[np.ndarray, "row *rest"]:
    """The chosen rows of one array, and the remaining ones of the other."""
    return np.where(rows.reshape(-1, *(1,) * (one.ndim - 1)), one, other)


def _words(random: np.random.Generator, *shape: int) -> UInt32[np.ndarray, "*shape"]:
    return random.integers(2**32, size=shape, dtype=np.uint32)


def _facts(spec: EnvironmentSpec, shown: Any) -> Float[np.ndarray, "step fact"]:
    """The numbers that steps show, in the order of `fact_names`."""
    parts = (shown.observation, shown.mask if spec.is_masked else None)
    return _numbers((*parts, shown.reward, shown.terminated, shown.truncated))


def _numbers(tree: Any) -> Float[np.ndarray, "step number"]:
    import jax

    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
    flat = [leaf.reshape(len(leaf), -1) for leaf in leaves]
    return np.concatenate(flat, axis=1) if flat else np.zeros((_NUM_STATES * _NUM_STEPS, 0))


def _are_whole(tree: Any) -> Bool[np.ndarray, " number"]:
    """Which of the numbers of `_numbers` are no real ones."""
    import jax

    leaves = jax.tree.leaves(tree)
    kinds = [np.full(leaf[0].size, leaf.dtype.kind != "f") for leaf in leaves]
    return np.concatenate(kinds) if kinds else np.zeros(0, np.bool_)


def _mirrored(
    spec: EnvironmentSpec, symmetry: Symmetry, facts: Float[np.ndarray, "step fact"]
) -> Float[np.ndarray, "step fact"]:
    """The mirror images of what steps show."""
    images, place = facts.copy(), 0
    for leaf, own in zip(spec.leaves, symmetry.leaves, strict=True):
        part = slice(place, place + leaf.size)
        numbers = facts[:, part].reshape(-1, *leaf.shape)
        numbers = numbers if leaf.dtype.kind == "f" else numbers.astype(np.int64)
        image = own.image(numbers, len(leaf.shape))
        images[:, part] = image.reshape(len(facts), leaf.size)
        place += leaf.size
    if spec.is_masked:
        mask = images[:, place : place + spec.num_actions]
        mask[:, list(symmetry.actions)] = facts[:, place : place + spec.num_actions]
    return images


def _is_whole(spec: EnvironmentSpec) -> Bool[np.ndarray, " fact"]:
    """Which of the numbers of `fact_names` are no real ones, so that they must be equal."""
    kinds = [np.full(leaf.size, leaf.dtype.kind != "f") for leaf in spec.leaves]
    mask = np.ones(spec.num_actions if spec.is_masked else 0, np.bool_)
    return np.concatenate([*kinds, mask, np.array([False, True, True])])
