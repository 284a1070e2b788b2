"""Settings as the text of a TOML file."""

import json
import re
from typing import Any

from frankrl.config.choices import NONE

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_table(name: str, values: dict[str, Any]) -> str:
    """A table of settings as a TOML file holds it."""
    lines = [f"[{name}]"]
    lines += [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def _toml_key(key: str) -> str:
    """A name as it is, or in quotes if it has other characters, such as `code of my.module`."""
    return key if _BARE_KEY.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if value is None:
        return f'"{NONE}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml_value, value))}]"
    # TOML knows no null, JSON does.
    return _toml_value(json.dumps(value))
