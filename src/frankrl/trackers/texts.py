"""Settings in the forms that trackers take."""

import json
from collections.abc import Mapping
from typing import Any

from frankrl.config.choices import NONE


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as numbers, booleans and texts; what is none of them becomes JSON."""
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    if value is None:
        return NONE
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value)


def settings_table(settings: Mapping[str, Any]) -> str:
    """Settings as a Markdown table."""
    rows = [f"| {name} | `{value}` |" for name, value in plain(settings).items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
