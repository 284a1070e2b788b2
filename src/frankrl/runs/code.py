"""Code that a run folder names, and whether it may be imported.

The environment `module:EnvId` of a run is a module to import, or `module:Name` code of it to call,
and a text in its keyword arguments may name one, too, as settings do that name a wrapper or a
network. A run folder can come from anyone. So its names are followed only if the user's own Frank
wrote them, if the user named them in this very command, or if the user allowed the folder's code.
A module that lies in the run folder itself is never imported.
"""

import hashlib
import importlib.machinery
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError, warn
from frankrl.core.named_code import GivenCode, is_object_name, module_of
from frankrl.core.text import shown
from frankrl.core.wording import option
from frankrl.runs.code_hash import told
from frankrl.runs.description import RunDescription, kwargs_of, signed_names
from frankrl.runs.folder import RunFolder
from frankrl.runs.machine import versions
from frankrl.runs.mark import is_own

_HASH_LETTERS = 16
_WORD = re.compile(r"\w+")
_OF_NAMES = ("ale_py", "minatar", "cv2", "pgx", "pgx_minatar", "navix", "gymnax")
"""Packages that the name of a game, or a setting of pictures, has imported."""


PLAYING = ("wrappers", "evaluation_wrappers")
"""Settings whose code playing an episode uses, besides that of the environment."""
LEARNING = ("wrappers", "network", "torso", "optimiser")
"""Those whose code the training uses."""


def check_code(folder: RunFolder, settings: Collection[str]) -> None:
    """Refuse to import what a run folder names, unless its user has chosen to.

    To be called before the environment of a run folder is made.

    Args:
        folder: the run folder.
        settings: names of the settings whose code is used, besides that of the environment.

    Raises:
        RunFolderError: a module is not to be imported, the user named another environment, or the
            run needs an object that was not given again.
    """
    description, permission = folder.description, folder.permission
    env_id = description.env_id
    if permission.env_id and permission.env_id != env_id:
        raise RunFolderError(
            f"the run {folder.path} is of {env_id!r}, not of {shown(permission.env_id)!r}"
        )
    named = _named_in(folder, settings)
    _refuse_missing_objects(folder, {"env": (env_id,), **named})
    texts = [text for kwargs in kwargs_of(description) for text in _naming_code(kwargs)]
    for name in (module_of(env_id), *map(_first_word, texts), *_OF_NAMES):
        _refuse_inside(folder, name)
    texts += _not_named_again(folder, named)
    wanted = _to_import(env_id) + texts
    if not wanted or is_own(description.mark, signed_names(description)):
        return
    if permission.env_id and not texts:
        return
    nameable = not texts and permission.env_id is not None
    _refuse_foreign(folder, wanted, f"name its environment {env_id!r} or " if nameable else "")


def check_settings_code(folder: RunFolder, settings: Collection[str]) -> None:
    """Refuse to import what some settings of a run folder name, likewise.

    To be called before an agent or a learner is made, without its environment. Arguments and errors
    as for `check_code`.
    """
    named = _named_in(folder, settings)
    _refuse_missing_objects(folder, named)
    wanted, description = _not_named_again(folder, named), folder.description
    if wanted and not is_own(description.mark, signed_names(description)):
        _refuse_foreign(folder, wanted, "")


def _named_in(folder: RunFolder, settings: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The code that some settings name; none of it lies in the run folder."""
    found = folder.description.settings.code_names()
    named = {setting: found[setting] for setting in settings if setting in found}
    for names in named.values():
        for name in names:
            if module := module_of(name):
                _refuse_inside(folder, module)
    return named


def _not_named_again(folder: RunFolder, named: Mapping[str, Iterable[str]]) -> list[str]:
    """The modules' code among names that the user did not name in this command."""
    known = folder.permission.named
    names = (name for given in named.values() for name in given)
    return [name for name in names if module_of(name) and name not in known]


def _refuse_foreign(folder: RunFolder, named: list[str], by_name: str) -> None:
    """Refuse what a folder of somebody else names, unless its user allows everything."""
    what = ", ".join(map(_with_file, named))
    if folder.permission.allow_code:
        warn(f"{folder.path} names {what}, which is imported because you allow the run's code")
        return
    raise RunFolderError(
        f"{folder.path} was not written by your own Frank and names {what}, so nothing of that is "
        f"imported; if you trust it, {by_name}give {option('allow_code', True)}"
    )


def all_versions(settings: Settings) -> dict[str, str]:
    """Versions of all software that may affect the bits of a run, with the code that its settings
    name, whose modules are imported already."""
    names = [name for named in settings.code_names().values() for name in named]
    return versions() | code_versions(names)


def _to_import(env_id: str) -> list[str]:
    """What of an environment's name is to be imported or called: its module, or nothing if that is
    imported and the environment is registered. Other code of a module that is there already, such
    as `os:system`, would be called."""
    module = module_of(env_id)
    if module and module in sys.modules:
        import gymnasium

        return [] if env_id.partition(":")[2] in gymnasium.registry else [env_id]
    return [module] * (module != "")


def _refuse_missing_objects(folder: RunFolder, names: Mapping[str, Iterable[str]]) -> None:
    """Refuse to make anything of objects that only the run's own process had.

    Args:
        folder: the run folder.
        names: names of code, by the parameter of Python that gives it.
    """
    missing = {
        parameter: [name for name in given if is_object_name(name) and not _is_given(name)]
        for parameter, given in names.items()
    }
    wanted = [parameter for parameter, given in missing.items() if given]
    if wanted:
        objects = ", ".join(shown(name) for given in missing.values() for name in given)
        arguments = ", ".join(f"{parameter}=…" for parameter in wanted)
        raise RunFolderError(
            f"the run {folder.path} was made from {objects}, which was given from Python and has "
            "no name to import it by: give the same again in Python, as in "
            f"frankrl.resume({str(folder.path)!r}, {arguments})"
        )


def _is_given(name: str) -> bool:
    return isinstance(name, GivenCode)


def code_versions(names: Iterable[str]) -> dict[str, str]:
    """What tells one version of some named code from another: a hash of its module's file, and the
    versions of the distributions that hold the module. An object has a hash of its source and of
    the values that it was made from.

    Args:
        names: `module:attribute`, or names of objects; the modules are imported already.
    """
    found: dict[str, str] = {}
    for name in names:
        if module := module_of(name):
            files = files_of(module)
            found[f"code of {module}"] = _hash(files[-1].read_bytes()) if files else "unknown"
            for distribution in _distributions(module):
                found[distribution] = importlib.metadata.version(distribution)
        elif isinstance(name, GivenCode):
            found[f"code of {name}"] = _hash(told(name.given))
    return found


def _distributions(module: str) -> list[str]:
    top = module.partition(".")[0]
    return sorted(set(importlib.metadata.packages_distributions().get(top, ())))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LETTERS]


def _with_file(name: str) -> str:
    """A name, and the file that it would be imported from, if any."""
    files = files_of(module_of(name) or name) or files_of(_first_word(name))
    return f"{shown(name)!r}{f' (from {files[-1]})' if files else ''}"


def _refuse_inside(folder: RunFolder, module: str) -> None:
    for file in files_of(module):
        if file.resolve().is_relative_to(folder.path.resolve()):
            raise RunFolderError(
                f"{folder.path} names the module {shown(module)!r}, which lies in the run folder "
                f"itself ({file}); such a module is never imported"
            )


def files_of(module: str) -> list[Path]:
    """The files that importing a module would run, outermost package first; runs none of them."""
    files: list[Path] = []
    path: list[str] | None = None
    parts = module.split(".")
    for number, part in enumerate(parts):
        loaded = sys.modules.get(".".join(parts[: number + 1]))
        spec = loaded.__spec__ if loaded else _spec_of(part, path)
        if spec is None:
            break
        if spec.has_location and spec.origin:
            files.append(Path(spec.origin))
        path = list(spec.submodule_search_locations or ())
    return files


def _spec_of(part: str, path: list[str] | None) -> importlib.machinery.ModuleSpec | None:
    """Where a part of a dotted name is found.

    `importlib.util.find_spec` would import the packages around a module to find it.
    """
    if not part.isidentifier():
        return None
    if path is not None:
        return importlib.machinery.PathFinder.find_spec(part, path)
    found = (finder.find_spec(part, None) for finder in sys.meta_path)
    return next((spec for spec in found if spec is not None), None)


def _naming_code(value: Any) -> Iterator[str]:
    """The texts in keyword arguments that may name code: a path, or what can be imported."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _naming_code(key)
            yield from _naming_code(part)
    elif isinstance(value, list):
        for part in value:
            yield from _naming_code(part)
    elif isinstance(value, str):
        word = _first_word(value)
        if "/" in value or (word and _spec_of(word, None) is not None):
            yield value


def _first_word(text: str) -> str:
    word = _WORD.search(text)
    return word.group() if word else ""


def check_preset(preset: str, changes: Mapping[str, Any]) -> None:
    """Refuse a preset that is the `config.toml` of somebody else's run and names code.

    Args:
        preset: name of a preset, or the path of a TOML file.
        changes: the settings that the user gave besides, which replace those of the preset.

    Raises:
        RunFolderError: a module would be imported because a file names it.
    """
    path = Path(preset)
    text = _text_of_run(path) if path.suffix == ".toml" else None
    if text is None:
        return
    description = RunDescription.from_toml(text)
    settings = description.settings
    named = {name: list(names) for name, names in settings.code_names().items()}
    named["env_kwargs"] = list(_naming_code(settings.environment.env_kwargs))
    named["evaluation_env_kwargs"] = list(
        _naming_code(settings.evaluation.evaluation_env_kwargs or {})
    )
    named["log"] = list(settings.saving.log)
    named = {name: texts for name, texts in named.items() if texts and name not in changes}
    if not named or is_own(description.mark, signed_names(description)):
        return
    what = ", ".join(_with_file(text) for texts in named.values() for text in texts)
    raise RunFolderError(
        f"the preset {path} is of a run that was not written by your own Frank and names {what}, "
        f"so nothing of that is imported: give {', '.join(map(option, named))} yourself, or take "
        "it out of a copy of the file"
    )


def _text_of_run(path: Path) -> str | None:
    """The text of a file if it is the `config.toml` of a run."""
    try:
        text = path.read_text("utf-8")
        return text if "run" in tomllib.loads(text) else None
    except (OSError, ValueError, RecursionError):
        # Whoever loads the preset says what is wrong with it.
        return None
