"""Tells one version of an object of the user's own from another, without its address."""

import dataclasses
import functools
import hashlib
import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

_MAX_DEPTH = 40
_MAX_PARTS = 10_000
"""Values within an object that count; what lies beyond is named by its type."""
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


def told(code: Any) -> bytes:
    """What an object is made of: source text, arguments, what its functions enclose, its fields.

    Objects made by the same code from equal values give equal bytes, also in another process. What
    an object of any other class holds does not count, since it may change as it is used.
    """
    return "\n".join(_Teller().parts(code, 0)).encode(errors="surrogatepass")


class _Teller:
    """Goes through an object once."""

    def __init__(self) -> None:
        self._met: dict[int, tuple[int, Any]] = {}
        """What was met, by identity; held, so that no other can get the same."""
        self._parts = 0

    def parts(self, value: Any, depth: int) -> Iterator[str]:
        """The lines that describe a value and what it is made of."""
        self._parts += 1
        if type(value) in _PLAIN:
            yield repr(value)
            return
        yield _name(type(value))
        if depth > _MAX_DEPTH or self._parts > _MAX_PARTS:
            return
        if (met := self._met.get(id(value))) is not None:
            yield f"met as {met[0]}"
            return
        self._met[id(value)] = len(self._met), value
        try:
            within = list(_within(value))
        except Exception:
            # Code of the user's own may do anything when it is looked at.
            return
        for part in within:
            yield from self.parts(part, depth + 1)
        yield "end"


def _within(value: Any) -> Iterable[Any]:
    """What a value is made of, as far as it tells one from another."""
    if isinstance(value, functools.partial):
        return value.func, value.args, value.keywords
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    if isinstance(value, types.MethodType):
        return value.__func__, value.__self__
    if isinstance(value, types.CodeType):
        return value.co_code, value.co_names, value.co_consts
    if inspect.isclass(value):
        return (_name(value), _source(value))
    if (inner := getattr(value, "__wrapped__", None)) is not None:
        # Such as of a function that JAX has compiled.
        return (inner,)
    if inspect.isroutine(value):
        return (_name(value),)
    if isinstance(value, set | frozenset):
        return sorted("\n".join(_Teller().parts(part, 0)) for part in value)
    if isinstance(value, dict):
        return [part for item in value.items() for part in item]
    if isinstance(value, tuple | list):
        return value
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _of_array(value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        fields = [(name, getattr(value, name, None)) for name in names]
        return (_source(type(value)), *fields)
    return (_source(type(value)),)


def _of_function(function: types.FunctionType) -> list[Any]:
    source = _source(function)
    cells = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells.append((name, cell.cell_contents))
        except ValueError:
            cells.append((name, "empty"))
    return [
        source if source else function.__code__,
        function.__defaults__,
        function.__kwdefaults__,
        *cells,
    ]


def _of_array(array: Any) -> tuple[Any, ...]:
    kind = str(array.dtype), str(array.shape)
    try:
        found = np.asarray(array)
    except TypeError:
        import jax

        # Keys of `jax.random`.
        found = np.asarray(jax.random.key_data(array))
    if found.dtype.hasobject:
        return *kind, found.tolist()
    return *kind, hashlib.sha256(found.tobytes()).hexdigest()


def _source(code: Any) -> str:
    """The source text of a function or class; empty if there is none."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return ""


def _name(code: Any) -> str:
    """The name within its module, which is another one if it was run as a script."""
    return getattr(code, "__qualname__", "")
