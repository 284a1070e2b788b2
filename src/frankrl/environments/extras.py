"""Packages that only some environments need."""

import contextlib
import importlib
import logging
from collections.abc import Iterator
from types import ModuleType

from frankrl.core.errors import EnvironmentUnusableError, MissingExtraError


def imported(module: str, feature: str, package: str, extra: str) -> ModuleType:
    """A module of an optional package.

    Args:
        module: name of the module.
        feature: what needs it, for errors.
        package: name of the package that holds it.
        extra: Frank's extra that installs the package.

    Raises:
        MissingExtraError: the package is not installed.
        EnvironmentUnusableError: the module cannot be imported.
    """
    try:
        with _quiet():
            return importlib.import_module(module)
    except ImportError as error:
        names = (module, module.partition(".")[0])
        if isinstance(error, ModuleNotFoundError) and error.name in names:
            raise MissingExtraError(feature, package, extra) from error
        raise EnvironmentUnusableError(
            f"{feature} needs the package {package!r}, which cannot be imported: {error}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that a package logs while it is imported."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
