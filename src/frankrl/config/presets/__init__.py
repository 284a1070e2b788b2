"""Named sets of settings that ship with the package, one TOML file each.

A preset named like an environment is that environment's default; `atari` and `minatar` are for
their games, and `default` is for all others. A file may begin with `base = "NAME"`; it then only
holds the differences from that preset.
"""

import importlib.resources
import re
import tomllib
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.config.families import FAMILIES, MINATAR, PGX_MINATAR
from frankrl.core.errors import SettingError, nearest


def preset_names() -> tuple[str, ...]:
    """All presets, sorted."""
    files = importlib.resources.files(__name__).iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".toml")))


def default_preset(env_id: str, q_function: str = "network") -> str:
    """The preset that `frank train ENV_ID` uses by default; for a Q-table it is `table`."""
    if q_function == "table":
        return "table"
    # Gymnasium takes a name without a version for the newest one.
    wanted = re.compile(re.escape(env_id.removeprefix("frankrl/")) + r"(-v\d+)?")
    own = (name for name in reversed(preset_names()) if wanted.fullmatch(name))
    of_all = (family.preset for family in FAMILIES if family.has(env_id))
    if env_id.startswith(PGX_MINATAR):
        return MINATAR.preset
    return next(own, None) or next(of_all, "default")


def load_preset(name: str) -> Settings:
    """The settings of a preset.

    Args:
        name: a preset of the package, or the path of a TOML file.

    Raises:
        SettingError: there is no such preset, or it is not valid.
    """
    if name.endswith(".toml"):
        return _load_file(Path(name))
    names = preset_names()
    if name not in names:
        raise SettingError(
            f"unknown preset {name!r}{nearest(name, names)} (presets: {', '.join(names)})"
        )
    text = importlib.resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8")
    return _settings(tomllib.loads(text))


def _settings(tables: dict[str, Any]) -> Settings:
    """The settings of a file's tables, on top of the shipped preset that its `base` names."""
    base = tables.pop("base", None)
    if base is None:
        return Settings.from_tables(tables)
    if base not in preset_names():
        raise SettingError(
            f"base must name a preset that ships with Frank, got {base!r}"
            f"{nearest(str(base), preset_names())} (presets: {', '.join(preset_names())})"
        )
    return Settings.from_tables(tables, load_preset(base))


def _load_file(path: Path) -> Settings:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        # The config.toml of a run is a preset, too; its other tables are ignored.
        for name in ("run", "initial_weights", "learned_data", "versions", "machine"):
            tables.pop(name, None)
        return _settings(tables)
    except OSError as error:
        raise SettingError(f"the preset {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SettingError(f"the preset {path} is not valid TOML: {error}") from error
    except SettingError as error:
        raise SettingError(f"the preset {path}: {error}") from error
