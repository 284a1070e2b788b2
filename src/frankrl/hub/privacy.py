"""What of a run stays on its machine: the mark, and the names of local folders."""

import dataclasses
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from frankrl.core.errors import SettingError
from frankrl.core.local_paths import without_paths
from frankrl.core.text import shown
from frankrl.core.wording import option
from frankrl.runs.description import RunDescription

_ENVIRONMENT = ("env_id", "environment")
"""What a checkpoint says of its environment, which an agent needs word by word."""


def public_description(description: RunDescription) -> RunDescription:
    """A run's description as others may read it: without its mark, its trackers and local folders.

    Its other settings stay as they are: see `refuse_local_paths`.
    """
    preset, origin, settings = description.preset, description.origin, description.settings
    if description.data is not None:
        settings = settings.with_changes(dataset=description.data.name)
    if origin is not None:
        origin = dataclasses.replace(origin, path=f"…/{PurePath(origin.path).name}")
    return dataclasses.replace(
        description,
        settings=settings.with_changes(log=()),
        preset=PurePath(preset).stem if _is_file(preset) else preset,
        versions=without_paths(description.versions),
        machine=without_paths(description.machine),
        mark="",
        origin=origin,
    )


def _is_file(preset: str) -> bool:
    return preset.endswith(".toml") or "/" in preset


def public_metadata(info: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a checkpoint without the names of local folders."""
    return {
        name: value if name in _ENVIRONMENT else without_paths(value)
        for name, value in info.items()
    }


def refuse_local_paths(description: RunDescription) -> None:
    """Refuse to publish settings that name a local file. A data set's is left out anyway.

    Raises:
        SettingError: one does.
    """
    for group in description.settings.to_tables().values():
        for name, value in group.items():
            if name == "dataset":
                continue
            for text in _texts(value):
                if without_paths(text) != text:
                    raise SettingError(
                        f"the setting {name} names the local path {shown(text)!r}, which everybody "
                        f"could read: give {option('with_paths', True)} to push it all the same"
                    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _texts(key)
            yield from _texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)
