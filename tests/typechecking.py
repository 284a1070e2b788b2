"""The type checker that Frank runs under while it is tested."""

import functools
import inspect
import sys
from collections import Counter
from types import CodeType, FunctionType

from beartype import BeartypeConf, beartype

# A whole number may stand for a float, as everywhere in Python's type checkers.
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))
_MAX_DEFINITIONS = 20
_MAX_CALLS = 100
"""How often a function is checked in one test: its arguments in these calls, and its results."""
_definitions: Counter[CodeType] = Counter()
_calls: dict[FunctionType, int] = {}
_unchecked: set[FunctionType] = set()


def check(checked):
    """Check the arguments and the result of a function, or of a class's methods.

    A function within a function is defined anew whenever that one is called, and to check it
    takes milliseconds each time, so only its first definitions are checked. Of any other one the
    first calls within each test are: what is called in every acting step would take half of the
    time of the tests.
    """
    if code := getattr(checked, "__code__", None):
        _definitions[code] += 1
        if _definitions[code] > _MAX_DEFINITIONS:
            return checked
    decorated = _CHECK(checked)
    if code is None or "<locals>" in checked.__qualname__:
        return decorated

    @functools.wraps(decorated)
    def counted(*args, **kwargs):
        calls = _calls[checked] = _calls.get(checked, 0) + 1
        if calls == _MAX_CALLS and (function := _defined(checked)) is not None:
            # jaxtyping looks for this before it does anything else.
            function.__no_type_check__ = True
            _unchecked.add(function)
        return decorated(*args, **kwargs)

    return counted


check_in_long_forms = check
"""The same under another name. While it imports a checked module, jaxtyping reads and writes all
bytecode, also of modules which are not checked, in files that this name distinguishes: with one
name a session would take over what a session that checks other modules has left."""


def check_again() -> None:
    """Forget how often functions have been called: a test begins."""
    for function in _unchecked:
        del function.__no_type_check__
    _unchecked.clear()
    _calls.clear()


@functools.cache
def _defined(checked: FunctionType) -> FunctionType | None:
    """The function that was defined: jaxtyping gives its type checker another one of its name."""
    found: object = sys.modules[checked.__module__]
    for name in checked.__qualname__.split("."):
        found = inspect.getattr_static(found, name, None)
    for inner in ("__func__", "fget", "func"):  # of a class or static method, and of properties
        found = getattr(found, inner, found)
    function = inspect.unwrap(found) if callable(found) else None
    return function if isinstance(function, FunctionType) else None
