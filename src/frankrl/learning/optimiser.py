"""Optimisers: Frank's own, and those of the user's own."""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from frankrl.config import LearningSettings
from frankrl.core.errors import FrankError, SettingError
from frankrl.core.named_code import is_code, load_code, shown_name
from frankrl.core.own_code import failed
from frankrl.core.text import given
from frankrl.networks import Layout

Weights = Float[Array, " weight"]
Rate = Float[Array, ""] | float


class Gradient(NamedTuple):
    """The gradient of a batch, and what its step may depend on besides."""

    gradient: Weights
    weights: Weights
    """θ before the step."""
    loss: Float[Array, ""]
    learning_rate: Rate


def init_optimiser(settings: LearningSettings, layout: Layout, weights: Weights) -> PyTree:
    """The optimiser's state before the first update.

    Args:
        settings: optimiser and clipping.
        layout: of the network's parameters.
        weights: the initial parameters.
    """
    return _transformation(settings, layout, settings.learning_rate).init(weights)


def optimiser_step(
    settings: LearningSettings, layout: Layout, state: PyTree, found: Gradient
) -> tuple[Weights, PyTree]:
    """The weights and the optimiser's state after one step.

    The gradient is clipped by its global norm first. Frank's optimisers compute a step for the
    learning rate 1, which is multiplied by the learning rate and subtracted. What an optimiser of
    the user's own gives is added, as by `optax.apply_updates`: it contains sign and learning rate.

    Args:
        settings: optimiser and clipping.
        layout: of the network's parameters.
        state: the optimiser's state.
        found: gradient, weights, loss and learning rate.
    """
    transformation = optax.with_extra_args_support(
        _transformation(settings, layout, found.learning_rate)
    )
    updates = transformation.update(found.gradient, state, found.weights, value=found.loss)
    step, state = cast(tuple[Array, PyTree], updates)
    if has_own_optimiser(settings):
        return found.weights + step, state
    return found.weights - found.learning_rate * step, state


def has_own_optimiser(settings: LearningSettings) -> bool:
    """Whether the optimiser is the user's own."""
    return is_code(settings.optimiser)


def _transformation(
    settings: LearningSettings, layout: Layout, rate: Rate
) -> optax.GradientTransformation:
    step = optax.identity()
    if has_own_optimiser(settings):
        step = _on_vector(settings.optimiser, _own(settings.optimiser, rate), layout)
    elif settings.optimiser == "adam":
        step = optax.scale_by_adam(eps=settings.adam_epsilon)
    elif settings.optimiser == "radam":
        step = optax.scale_by_radam(eps=settings.adam_epsilon)
    if settings.max_gradient_norm is None:
        return step
    return optax.chain(optax.clip_by_global_norm(settings.max_gradient_norm), step)


def _own(name: str, rate: Rate) -> optax.GradientTransformation:
    """The optimiser that a setting names: an Optax optimiser, or what makes one from the rate."""
    code = load_code(name, "optimiser")
    wanted = (
        f"optimiser {shown_name(name)} must be a function of the learning rate that gives an Optax "
        "optimiser, such as optax:adamw, or such an optimiser"
    )
    if not _is_transformation(code):
        if not callable(code):
            raise SettingError(f"{wanted}; it is {given(code)}")
        try:
            code = code(rate)
        except FrankError:
            raise
        except Exception as error:
            raise _failure(name, "called with the learning rate, it", error) from error
        if not _is_transformation(code):
            raise SettingError(f"{wanted}; it gave {given(code)}")
    return cast(optax.GradientTransformation, code)


def _is_transformation(code: Any) -> bool:
    return callable(getattr(code, "init", None)) and callable(getattr(code, "update", None))


def _on_vector(
    name: str, own: optax.GradientTransformation, layout: Layout
) -> optax.GradientTransformationExtraArgs:
    """An optimiser of pytrees of parameters, as one of the vector of all weights.

    Its state consists of arrays of numbers: keys of `jax.random` are held as their data.
    """
    own = optax.with_extra_args_support(own)

    def init(params: Any) -> Any:
        try:
            return _packed(name, own.init(layout.unflatten(params)))
        except FrankError:
            raise
        except Exception as error:
            raise _failure(name, "init", error) from error

    def update(updates: Any, state: Any, params: Any = None, **more: Any) -> Any:
        weights = layout.unflatten(params)
        try:
            state = _unpacked(state, own, weights)
            steps, state = own.update(layout.unflatten(updates), state, weights, **more)
        except Exception as error:
            raise _failure(name, "update", error) from error
        found = [jnp.shape(step) for step in jax.tree.leaves(steps)]
        if jax.tree.structure(steps) != layout.structure or tuple(found) != layout.shapes:
            raise SettingError(
                f"optimiser {shown_name(name)}: update must give a step for each array of the "
                f"parameters, in the same structure, and gives {given(jax.tree.structure(steps))}"
            )
        return layout.flatten(steps).astype(np.float32), _packed(name, state)

    return optax.GradientTransformationExtraArgs(init, update)


def _packed(name: str, state: PyTree) -> PyTree:
    def packed(path: Any, leaf: Any) -> Array:
        if not hasattr(leaf, "dtype") and not isinstance(leaf, bool | int | float):
            raise SettingError(
                f"optimiser {shown_name(name)}: its state has {given(leaf)} at "
                f"{jax.tree_util.keystr(path)!r}, which is no array"
            )
        if _is_key(leaf):
            return jax.random.key_data(leaf)
        return jnp.asarray(leaf, jnp.result_type(leaf))

    return jax.tree_util.tree_map_with_path(packed, state)


def _unpacked(state: PyTree, own: optax.GradientTransformation, weights: Any) -> PyTree:
    """The state with its keys as keys again, of the kinds that `init` makes."""
    kinds: list[Any] = []

    def note_kinds(weights: Any) -> None:
        leaves = jax.tree.leaves(own.init(weights))
        kinds.extend(jax.random.key_impl(leaf) if _is_key(leaf) else None for leaf in leaves)

    jax.eval_shape(note_kinds, weights)
    leaves, structure = jax.tree.flatten(state)
    keys = [
        leaf if kind is None else jax.random.wrap_key_data(leaf, impl=kind)
        for leaf, kind in zip(leaves, kinds, strict=True)
    ]
    return jax.tree.unflatten(structure, keys)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _failure(name: str, part: str, error: Exception) -> SettingError:
    return SettingError(f"optimiser {shown_name(name)}: {part} {failed(error)}")
