"""The type checker that Frank runs under while it is tested."""

from collections import Counter
from types import CodeType

from beartype import BeartypeConf, beartype

# A whole number may stand for a float, as everywhere in Python's type checkers.
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))
_MAX_DEFINITIONS = 20
_definitions: Counter[CodeType] = Counter()


def check(checked):
    """Check the arguments and the result of a function, or of a class's methods.

    A function within a function is defined anew whenever that one is called, and to check it
    takes milliseconds each time, so only its first definitions are checked.
    """
    if code := getattr(checked, "__code__", None):
        _definitions[code] += 1
        if _definitions[code] > _MAX_DEFINITIONS:
            return checked
    return _CHECK(checked)


check_in_long_forms = check
"""The same under another name. While it imports a checked module, jaxtyping reads and writes all
bytecode, also of modules which are not checked, in files that this name distinguishes: with one
name a session would take over what a session that checks other modules has left."""
