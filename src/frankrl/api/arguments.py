"""Checks of arguments that several of the functions have."""

from typing import Any

from frankrl.core.errors import SettingError, check_type
from frankrl.core.text import given


def check_switches(**switches: Any) -> None:
    """Refuse values other than True and False.

    Args:
        **switches: the values by the names of their arguments.

    Raises:
        SettingError: one of them is something else.
    """
    for name, value in switches.items():
        check_type(value, name, bool, "True or False")


def check_count(name: str, count: Any, most: int) -> None:
    """Refuse anything but a whole number from 1.

    Args:
        name: the argument's name.
        count: its value.
        most: the largest one.

    Raises:
        SettingError: it is something else.
    """
    whole = isinstance(count, int) and not isinstance(count, bool)
    if not whole or not 1 <= count <= most:
        raise SettingError(f"{name} must be a whole number from 1 to {most:,}, got {given(count)}")


def check_alone(processes: Any) -> None:
    """Refuse a number of processes for a single run.

    Raises:
        SettingError: there is one.
    """
    if processes != 0:
        raise SettingError(
            f"processes is the number of runs in parallel, and this is one run, got "
            f"{given(processes)}: give seeds, too"
        )


def check_callback(on_event: Any) -> None:
    """Refuse an `on_event` that cannot be called.

    Raises:
        SettingError: it cannot.
    """
    if not callable(on_event):
        raise SettingError(
            f"on_event must be a function of one event, got {given(on_event)}; "
            "leave it out for none"
        )


def check_metrics(metrics: Any) -> None:
    """Refuse `metrics` that cannot be called.

    Raises:
        SettingError: they cannot, and are not None.
    """
    if metrics is not None and not callable(metrics):
        raise SettingError(
            f"metrics must be a function of one event that returns numbers by name, got "
            f"{given(metrics)}; leave it out for none"
        )
