"""Groups as Python code gives them: to train, and those that a value names."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frankrl.config.presets import default_preset, load_preset
from frankrl.core.errors import SettingError, check_type
from frankrl.core.seeds import checked_seeds, not_with_seeds
from frankrl.environments import exists_already, given_again, named_env
from frankrl.runs import check_preset, permission_of
from frankrl.runs.group import RunGroup, is_group
from frankrl.seeds.result import SeedsResult
from frankrl.seeds.resume import resume_seeds
from frankrl.seeds.train import HowToTrain, train_seeds


def train_seeds_of(
    env: Any,
    preset: str | None,
    seeds: Any,
    out: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
    how: HowToTrain,
) -> SeedsResult:
    """Train with several seeds; arguments and errors as of `frankrl.train`."""
    env_id, env_kwargs = named_env(env)
    if exists_already(env_id):
        raise SettingError(
            f"{env_id} is one environment, which exists already, and several seeds need one for "
            "each run: give its class, or a function that makes it"
        )
    if preset is not None:
        check_type(preset, "preset", str, "the name of a preset or of a TOML file, or None")
    preset = preset or default_preset(env_id, settings.get("q_function", "network"))
    check_preset(preset, settings)
    chosen = load_preset(preset).with_changes(**settings)
    if env_kwargs:
        chosen = chosen.with_changes(env_kwargs=env_kwargs | chosen.environment.env_kwargs)
    result = train_seeds(env_id, preset, chosen, checked_seeds(seeds), out, how)
    assert result is not None
    return result


def resume_seeds_of(
    run: Any, env: Any, allow_code: bool, settings: Mapping[str, Any], how: HowToTrain
) -> SeedsResult:
    """Go on with a group; arguments and errors as of `frankrl.resume`."""
    name, _ = given_again(env)
    group = RunGroup.open(group_path(run), permission_of(name, allow_code, settings))
    result = resume_seeds(group, how, settings)
    assert result is not None
    return result


def names_group(run: Any) -> bool:
    """Whether a value, such as a path, is the result or the folder of a group."""
    if isinstance(run, SeedsResult):
        return True
    return isinstance(run, str | os.PathLike) and is_group(Path(os.fspath(run)))


def group_path(run: Any) -> Path:
    """The folder of a group, of which `names_group` holds."""
    return run.path if isinstance(run, SeedsResult) else Path(os.fspath(run))


def refuse_for_seeds(others: Mapping[str, Any]) -> None:
    """Refuse arguments that several runs cannot share.

    Args:
        others: their values by name; one that is not given is None, 0 or False.

    Raises:
        SettingError: one is given.
    """
    for name, value in others.items():
        if value:
            raise not_with_seeds("seeds", name)
