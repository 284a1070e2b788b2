"""Code of the user's own that a setting names: `module:attribute`, or an object given from Python.

A run folder stores the name. Whoever opens a run decides whether it may be imported: see
`runs.code`.
"""

import contextlib
import importlib
import numbers
import sys
from typing import Any

from frankrl.core.errors import SettingError, nearest
from frankrl.core.text import given
from frankrl.core.wording import option

_OBJECT = "object:"
"""Begins the name of an object that cannot be imported again."""
FUNCTIONAL = "functional:"
"""Begins the name of an environment that is made of functions of JAX."""
_NO_CODE = (type(None), bytes, dict, list, set, frozenset, tuple)


class GivenCode(str):
    """The name of an object that was given from Python and cannot be imported by a name.

    It is text wherever a name is stored or shown, and carries the object with it. Two of them are
    equal if they carry the same object.
    """

    __slots__ = ("given",)

    given: Any
    """The object."""

    def __new__(cls, name: str, given: Any) -> "GivenCode":
        """Make a name that carries an object."""
        made = super().__new__(cls, name)
        made.given = given
        return made

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GivenCode) and other.given is not self.given:
            return False
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __copy__(self) -> "GivenCode":
        return self

    def __deepcopy__(self, memo: Any) -> "GivenCode":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process knows the name only.
        return str, (str(self),)


def name_of(code: Any) -> str:
    """The name by which a setting keeps code: text stays; an object that its module holds under
    its own name is `module:attribute`; any other is a `GivenCode`."""
    if isinstance(code, str):
        return code
    name = module = None
    # An object of the user's own may do anything when it is looked at.
    with contextlib.suppress(Exception):
        name, module = getattr(code, "__qualname__", None), getattr(code, "__module__", None)
    if not isinstance(name, str):
        return GivenCode(_OBJECT + _plain(type(code).__qualname__), code)
    if module not in ("__main__", None) and imported(f"{module}:{name}") is code:
        return f"{module}:{name}"
    return GivenCode(_OBJECT + _plain(name), code)


def is_object_name(name: str) -> bool:
    """Whether a name stands for an object that cannot be imported."""
    return name.startswith(_OBJECT)


def is_code(name: str) -> bool:
    """Whether a text names code of the user's own, and is no word of a setting."""
    return ":" in name


def shown_name(name: str) -> str:
    """The name as messages and explanations show it: an object's without its prefix."""
    return name.removeprefix(_OBJECT)


def module_of(name: str) -> str:
    """The module in a name; empty for an object's, and for text that names no code."""
    module, colon, _ = name.removeprefix(FUNCTIONAL).partition(":")
    return module if colon and not is_object_name(name) else ""


def imported(name: str) -> Any:
    """What a name stands for in a module that is imported already; None if there is nothing."""
    attribute = name.removeprefix(FUNCTIONAL).partition(":")[2]
    return _found(sys.modules.get(module_of(name)), attribute)


def named_as_stored(stored: str, code: Any) -> str:
    """The name of code that is given again, in the form of the name that was stored for it.

    A class of a script has no name to import it by, but has one for another script that imports
    it; it is the same class.
    """
    name = name_of(code)
    if is_object_name(stored) and not isinstance(code, str):
        return GivenCode(_OBJECT + name.partition(":")[2], code)
    return name


def load_code(name: str, setting: str) -> Any:
    """What a name stands for; a module is imported.

    Args:
        name: value of a setting.
        setting: the setting's name, for messages.

    Raises:
        SettingError: it cannot be imported, or is an object of another process.
    """
    if isinstance(name, GivenCode):
        return name.given
    if is_object_name(name):
        raise SettingError(
            f"{setting} is {shown_name(name)}, an object that was given from Python and "
            f"has no name to import it by: give the same object again, as {setting}=… in Python"
        )
    module, _, attribute = name.removeprefix(FUNCTIONAL).partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise SettingError(
                f"{option(setting)} {name}: there is no module {error.name!r} to import; install "
                "it, or run from the folder that holds it with PYTHONPATH=."
            ) from error
        raise SettingError(
            f"{option(setting)} {name} needs the Python module {error.name!r}, which is not "
            "installed"
        ) from error
    except Exception as error:
        raise SettingError(
            f"{option(setting)} {name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    code = _found(found, attribute)
    if code is None:
        raise SettingError(
            f"{option(setting)} {name}: the module {module!r} has no {attribute!r}"
            f"{nearest(attribute, vars(found))}"
        )
    return code


def check_name(name: Any, setting: str, among: tuple[str, ...] = ()) -> str:
    """The name of code that was given as a setting's value.

    Args:
        name: `module:attribute`, an object, or one of `among`.
        setting: the setting's name.
        among: words that are allowed besides.

    Raises:
        SettingError: it is neither.
    """
    value, name = name, name_of(name)
    module, colon, attribute = name.partition(":")
    is_name = name in among or (colon and _is_dotted(module) and _is_dotted(attribute))
    # By type: a named tuple may be an optimiser.
    if is_name and type(value) not in _NO_CODE and not isinstance(value, numbers.Number):
        return name
    words = f"one of {', '.join(among)}, or " if among else ""
    raise SettingError(
        f"{setting} must be {words}module:attribute, or in Python the object itself, got "
        f"{given(str(value) if isinstance(value, str) else value)}{nearest(name, among)}"
    )


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _plain(name: str) -> str:
    """A qualified name as a dotted one: `make.<locals>.<lambda>` becomes `make.lambda`."""
    return name.replace("<locals>.", "").replace("<", "").replace(">", "")


def _found(module: Any, attribute: str) -> Any:
    """What lies below a module under a dotted name; None if there is nothing."""
    for part in attribute.split("."):
        module = None if module is None else getattr(module, part, None)
    return module
