"""Spaces of other libraries as Gymnasium's, and observations as Frank stores them."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from frankrl.core.types import Observation


def gymnasium_space(given: Any) -> spaces.Space:
    """A space as Gymnasium has it; those of gymnax and navix are known by their attributes.

    Raises:
        TypeError: it is none of these.
    """
    if isinstance(given, spaces.Space):
        return given
    parts = getattr(given, "spaces", None)
    if isinstance(parts, Mapping):
        return spaces.Dict({name: gymnasium_space(part) for name, part in parts.items()})
    if parts is not None:
        return spaces.Tuple([gymnasium_space(part) for part in parts])
    shape = tuple(getattr(given, "shape", ()))
    dtype = np.dtype(getattr(given, "dtype", np.float32))
    if hasattr(given, "n"):
        count = int(given.n)
        if not shape:
            return spaces.Discrete(count)
        if dtype == np.uint8:
            return spaces.Box(0, count - 1, shape, np.uint8)
        return spaces.MultiDiscrete(np.full(shape, count))
    for low, high in (("low", "high"), ("minimum", "maximum")):
        if hasattr(given, low) and hasattr(given, high):
            return _box(getattr(given, low), getattr(given, high), shape, dtype)
    raise TypeError(f"a space of the kind {type(given).__name__}")


def stored_space(space: spaces.Space) -> spaces.Space:
    """The space of the same observations in the form in which they are stored.

    Bits are bytes, other numbers float32, and numbered values begin at 0.
    """
    match space:
        case spaces.Dict():
            return spaces.Dict({name: stored_space(space[name]) for name in space.spaces})
        case spaces.Tuple():
            return spaces.Tuple([stored_space(part) for part in space.spaces])
        case spaces.Discrete():
            return spaces.Discrete(int(space.n))
        case spaces.MultiDiscrete():
            return spaces.MultiDiscrete(space.nvec)
        case spaces.Box():
            return _box(space.low, space.high, space.shape, np.dtype(space.dtype))
    return space


def in_stored_form(space: spaces.Space, observation: Any) -> Observation:
    """An observation of a space in the form in which it is stored; its shape stays.

    Args:
        space: the space, with its own numbers.
        observation: dictionaries, tuples and arrays of JAX.

    Raises:
        TypeError: it has fractions where the space has whole numbers; the message says where.
    """
    match space:
        case spaces.Dict():
            return {
                name: in_stored_form(space[name], _entry(observation, name))
                for name in sorted(space.spaces)
            }
        case spaces.Tuple():
            return tuple(
                in_stored_form(part, observation[number])
                for number, part in enumerate(space.spaces)
            )
        case spaces.Discrete() | spaces.MultiDiscrete():
            whole = _whole(space, observation)
            return whole.astype(jnp.int32) - np.asarray(space.start, np.int32)
        case spaces.Box() if np.dtype(space.dtype) not in (np.bool_, np.uint8):
            return jnp.asarray(observation).astype(jnp.float32)
    return _whole(space, observation).astype(jnp.uint8)


def _whole(space: spaces.Space, observation: Any) -> Any:
    """An observation of whole numbers; fractions would be cut off without a word."""
    found = jnp.asarray(observation)
    if jnp.issubdtype(found.dtype, jnp.floating):
        raise TypeError(
            f"numbers are {found.dtype}, where the space has {np.dtype(space.dtype)} ({space})"
        )
    return found


def _entry(observation: Any, name: str) -> Any:
    return observation[name] if isinstance(observation, Mapping) else getattr(observation, name)


def _box(low: Any, high: Any, shape: tuple[int, ...], dtype: np.dtype) -> spaces.Box:
    kind = np.uint8 if dtype in (np.bool_, np.uint8) else np.float32
    with np.errstate(over="ignore"):
        low, high = (np.broadcast_to(bound, shape).astype(kind) for bound in (low, high))
    return spaces.Box(low, high, shape, kind)
