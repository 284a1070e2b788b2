"""Python processes that Frank starts."""

import os
import sys
from collections.abc import Sequence


def module_command(module: str) -> list[str]:
    """The command that runs a module.

    With `-P`, no module that lies in the working folder by chance replaces one of Python's.
    """
    return [sys.executable, "-P", "-m", module]


def search_path() -> list[str]:
    """The folders in which this process finds modules, the working folder by its name."""
    return [folder or os.getcwd() for folder in sys.path]


def searching(path: Sequence[str]) -> dict[str, str]:
    """Environment variables of a process that finds modules in these folders first."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}
