"""The settings of some runs side by side, and in what the runs differ."""

from collections.abc import Sequence
from typing import Any

from frankrl.config import meaning_of, setting_names
from frankrl.config.choices import shown
from frankrl.runs.description import RunDescription

_LONGEST = 200
"""Longer values are cut. [characters]"""


def settings_side_by_side(runs: Sequence[RunDescription]) -> list[dict[str, Any]]:
    """A row for each setting that some run has, then rows for versions and machine.

    Args:
        runs: at least one run.

    Returns:
        Rows with `group`, `name`, `meaning`, `values` and `differs`. A value is text, or None
        where the setting is idle or not recorded.
    """
    tables = [_tables(run) for run in runs]
    places = dict.fromkeys(
        (group, name) for table in tables for group, values in table.items() for name in values
    )
    return [_row(*place, tables) for place in places]


def _tables(run: RunDescription) -> dict[str, dict[str, Any]]:
    description = {"env_id": run.env_id, "preset": run.preset, "seed": run.seed}
    settings = run.settings.to_tables()
    return {"run": description, **settings, "versions": run.versions, "machine": run.machine}


def _row(group: str, name: str, tables: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    values = [_text(table.get(group, {}), name) for table in tables]
    return {
        "group": group,
        "name": name,
        "meaning": meaning_of(name) if name in setting_names() else "",
        "values": values,
        "differs": len(set(values)) > 1,
    }


def _text(table: dict[str, Any], name: str) -> str | None:
    if name not in table:
        return None
    text = shown(table[name])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
