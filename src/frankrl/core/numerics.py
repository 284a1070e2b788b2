"""JAX's settings for Frank's own computations, whatever the process has set for its own.

64-bit numbers, another precision or uncompiled code would change the bits of a run, and the strict
modes would stop it. They stay as they are for the user's code and for environments. NumPy
multiplies matrices in one thread meanwhile (see `blas`).
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from frankrl.core.blas import one_blas_thread

_OWN: dict[str, Any] = {
    "enable_x64": False,
    "disable_jit": False,
    "numpy_dtype_promotion": "standard",
    "numpy_rank_promotion": "allow",
    "default_matmul_precision": None,
    "default_prng_impl": "threefry2x32",
    "threefry_partitionable": True,
    "debug_nans": False,
    "debug_infs": False,
    "transfer_guard_host_to_device": "allow",
    "transfer_guard_device_to_device": "allow",
    "transfer_guard_device_to_host": "allow",
}
"""Names of JAX's context managers, and Frank's values; `jax.config` calls them `jax_…`."""
_UNSET_MEANS = {name: "allow" for name in _OWN if name.startswith("transfer_guard")}

_theirs: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("_theirs")
"""Within `own_numerics`: the values that the process has set differently."""
_T = TypeVar("_T")


@contextlib.contextmanager
def own_numerics() -> Iterator[None]:
    """Within this context, JAX and NumPy compute as Frank wants."""
    with one_blas_thread(), _own_jax():
        yield


@contextlib.contextmanager
def _own_jax() -> Iterator[None]:
    theirs = _set_differently()
    if not theirs:
        yield
        return
    before = _theirs.set(theirs)
    try:
        with _as_set({name: _OWN[name] for name in theirs}):
            yield
    finally:
        _theirs.reset(before)


def in_own_numerics(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function within `own_numerics`."""
    with own_numerics():
        return function(*arguments)


def in_own_jax(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function in a thread of Frank's own, which has JAX's settings anew; NumPy's threads
    are the process's."""
    with _own_jax():
        return function(*arguments)


def stepped(iterator: Iterator[_T]) -> Iterator[_T]:
    """The same items, each computed within `own_numerics` and used outside of it."""
    end = object()
    while (item := in_own_numerics(next, iterator, end)) is not end:
        yield item  # pyright: ignore[reportReturnType]


@contextlib.contextmanager
def users_numerics() -> Iterator[None]:
    """Within this context, JAX computes as the process has set it outside of `own_numerics`."""
    with _as_set(_theirs.get(None) or {}):
        yield


def users_variables() -> dict[str, str]:
    """Environment variables with which JAX in another process computes likewise."""
    theirs = _theirs.get(None) or {}
    return {
        f"JAX_{name.upper()}": str(int(value) if isinstance(value, bool) else value)
        for name, value in theirs.items()
        if value is not None
    }


def with_users_numerics(methods: Any, *names: str) -> None:
    """Let some methods of an object compute as the process has set it, if that differs."""
    if theirs := _theirs.get(None):
        for name in names:
            setattr(methods, name, _called_with(theirs, getattr(methods, name)))


def _called_with(values: dict[str, Any], method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def called(*arguments: Any, **named: Any) -> Any:
        with _as_set(values):
            return method(*arguments, **named)

    return called


def _set_differently() -> dict[str, Any]:
    import jax

    found = {}
    for name, own in _OWN.items():
        value = getattr(jax.config, f"jax_{name}")
        value = getattr(value, "value", value)  # some are enumerations
        if (_UNSET_MEANS.get(name) if value is None else value) != own:
            found[name] = value
    return found


@contextlib.contextmanager
def _as_set(values: dict[str, Any]) -> Iterator[None]:
    if not values:
        yield
        return
    import jax

    with contextlib.ExitStack() as stack:
        for name, value in values.items():
            stack.enter_context(getattr(jax, name)(value))
        yield
