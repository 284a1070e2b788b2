"""What the user of a run folder allows it to name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from frankrl.config import code_among
from frankrl.core.errors import check_type


class Permission(NamedTuple):
    """What the user of a run folder allows it to name: see `runs.code`."""

    env_id: str | None = ""
    """The environment that the user named in this command; None: it cannot be named there."""
    allow_code: bool = False
    """Whether the user allows what the folder names, whatever it is."""
    named: tuple[str, ...] = ()
    """The code, `module:attribute`, and the trackers that the user named in this command as values
    of settings."""


NO_PERMISSION = Permission()


def permission_of(
    env_id: str | None, allow_code: bool, changes: Mapping[str, Any] | None = None
) -> Permission:
    """What the arguments of these names allow.

    Args:
        env_id: name of the run's environment; empty: it was not named; None: it cannot be.
        allow_code: whether all code is allowed.
        changes: settings that the user gave, which may name code.

    Raises:
        SettingError: `allow_code` has another type.
    """
    check_type(allow_code, "allow_code", bool, "True or False")
    changes = changes or {}
    trackers = changes.get("log", ())
    trackers = tuple(trackers) if isinstance(trackers, (list, tuple)) else (trackers,)
    return Permission(env_id, allow_code, (*code_among(changes), *trackers))
