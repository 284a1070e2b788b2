"""The settings of a new run, from what Python code gives."""

from typing import Any

from frankrl.config import Settings
from frankrl.config.presets import load_preset
from frankrl.core.errors import SettingError, warn
from frankrl.core.text import given
from frankrl.environments import exists_already
from frankrl.runs import check_preset


def chosen_settings(
    env_id: str, env_kwargs: dict[str, Any], preset: str, named: dict[str, Any]
) -> Settings:
    """The settings of a preset with those that are named.

    Args:
        env_id: name of the environment.
        env_kwargs: keyword arguments that the environment itself brought, such as an `EnvSpec`'s.
        preset: name of the preset.
        named: values of settings, by name.

    Raises:
        FrankError: there is no such preset, or a setting is not allowed.
    """
    base = load_preset(preset)
    check_preset(preset, named)
    if exists_already(env_id):
        named = _for_the_only_one(env_id, base, named)
    chosen = base.with_changes(**named)
    if env_kwargs:
        chosen = chosen.with_changes(env_kwargs=env_kwargs | chosen.environment.env_kwargs)
    return chosen


def _for_the_only_one(env_id: str, base: Settings, named: dict[str, Any]) -> dict[str, Any]:
    """The settings that are named, with those for an environment of which there is no other."""
    wanted = {"num_envs": 1, "evaluation_on": "training"}
    for name, value in wanted.items():
        if name in named and named[name] != value:
            raise SettingError(
                f"{env_id} is one environment, which exists already, so {name} must be {value}, "
                f"got {given(named[name])}: give its class, or a function that makes it, to have "
                "several"
            )
    usual = base.values()
    changed = [name for name in wanted if name not in named and usual[name] != wanted[name]]
    if changed:
        said = " and ".join(f"{name} {wanted[name]}" for name in changed)
        warn(
            f"{env_id} is one environment, which exists already, so this run has {said}; give its "
            "class, or a function that makes it, to have several"
        )
    return wanted | named
