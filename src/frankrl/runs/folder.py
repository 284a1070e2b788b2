"""The run folder, which holds everything about one run."""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import sqlite3
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from frankrl.config import Settings, code_among, group_of
from frankrl.config.choices import NONE
from frankrl.core.errors import FrankError, RunFolderError, SettingError, check_type
from frankrl.core.named_code import GivenCode, named_as_stored
from frankrl.core.paths import given_path
from frankrl.core.random import check_seed
from frankrl.core.seeds import checked_seeds
from frankrl.core.text import shown
from frankrl.core.wording import option, resuming, training
from frankrl.runs.contents import others_in
from frankrl.runs.data_origin import DataOrigin
from frankrl.runs.disk import flush_folder, read_regular, replace_durably, write_durably
from frankrl.runs.initial import INITIAL, Origin
from frankrl.runs.lock import LOCK, RunLock, locked
from frankrl.runs.mark import mark_of
from frankrl.runs.metrics import MetricsWriter, metrics_files

CONFIG, METRICS, CHECKPOINTS, BEST, VIDEOS, TRACKERS, REPORT = (
    "config.toml",
    "metrics.sqlite",
    "checkpoints",
    "best",
    "videos",
    "trackers",
    "report.json",
)
GROUP = "group.json"
"""The file by which the folder of a group of runs is known."""
_MAX_CONFIG_BYTES = 1 << 20
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_ENV_ID, _MAX_PRESET, _MAX_REASON, _MAX_NAMED = 500, 1_000, 500, 5
"""Characters of texts in a `config.toml`, and the number of files that a message names."""


@dataclass(frozen=True)
class RunDescription:
    """The description of a run: everything that decides its outcome, and its machine."""

    env_id: str
    preset: str
    seed: int
    settings: Settings
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    mark: str = field(default="", compare=False)
    """Shows that this user's own Frank wrote the names of code in it: see `runs.mark`."""
    origin: Origin | None = None
    """Where the weights come from that the run began with; None: it drew them by its seed."""
    batched_with: tuple[int, ...] = ()
    """The seeds of the runs that were one program with this one, among them its own, in the order
    of their lanes; none: it was alone."""
    data: DataOrigin | None = None
    """The data set that it learns from; None: from what it collects alone."""

    def marked(self) -> "RunDescription":
        """The same description with this user's mark."""
        return dataclasses.replace(self, mark=mark_of(signed_names(self)))

    def as_stored(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The code among some values of settings, under the names that this run has stored."""
        values = self.settings.values()
        return {
            name: _code_as_stored(values[name], value)
            for name, value in changes.items()
            if name in values and code_among({name: values[name]})
        }

    def to_toml(self) -> str:
        """The text of `config.toml`."""
        run = {"env_id": self.env_id, "preset": self.preset, "seed": self.seed, "mark": self.mark}
        if self.batched_with:
            run["batched_with"] = self.batched_with
        tables = {
            "run": run,
            **({"initial_weights": self.origin.to_table()} if self.origin else {}),
            **({"learned_data": self.data.to_table()} if self.data else {}),
            **self.settings.to_tables(),
            "versions": self.versions,
            "machine": self.machine,
        }
        return "\n".join(toml_table(name, values) for name, values in tables.items())

    @classmethod
    def from_toml(cls, text: str) -> "RunDescription":
        """The description in the text of a `config.toml`.

        Raises:
            SettingError: it is not valid.
        """
        try:
            tables = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingError(f"not valid TOML: {error}") from error
        run = tables.pop("run", {})
        if (
            not isinstance(run, dict)
            or not isinstance(run.get("env_id"), str)
            or type(run.get("seed")) is not int
        ):
            raise SettingError("table [run] must hold env_id (text) and seed (a whole number)")
        env_id = run["env_id"]
        if len(env_id) > _MAX_ENV_ID or not env_id.isprintable():
            raise SettingError(
                f"env_id must be at most {_MAX_ENV_ID} printable characters, got {shown(env_id)}"
            )
        check_seed(run["seed"])
        batched_with = checked_seeds(run["batched_with"]) if "batched_with" in run else ()
        if batched_with and run["seed"] not in batched_with:
            raise SettingError("batched_with must hold the run's own seed")
        versions, machine = tables.pop("versions", {}), tables.pop("machine", {})
        if not isinstance(versions, dict) or not isinstance(machine, dict):
            raise SettingError("[versions] and [machine] must be tables")
        given = tables.pop("initial_weights", None)
        data = tables.pop("learned_data", None)
        settings = Settings.from_tables(tables)
        for name in settings.unresolved():
            raise SettingError(f"{name} must be a number of {settings.clock}")
        return cls(
            env_id=env_id,
            preset=shown(run.get("preset", "default"), _MAX_PRESET),
            seed=run["seed"],
            settings=settings,
            versions=versions,
            machine=machine,
            mark=str(run.get("mark", "")),
            origin=None if given is None else Origin.from_table(given),
            batched_with=batched_with,
            data=None if data is None else DataOrigin.from_table(data),
        )


def _in_words(code: Any) -> str:
    return shown((", ".join(code) or NONE) if isinstance(code, tuple) else code)


def _code_as_stored(stored: Any, value: Any) -> Any:
    """The value of a setting that names code, in which objects have the names that are stored."""
    if isinstance(stored, tuple) and isinstance(value, list | tuple):
        before = [*stored, *[""] * len(value)]
        return tuple(map(named_as_stored, before, value))
    return named_as_stored(stored, value) if isinstance(stored, str) else value


def signed_names(description: RunDescription) -> list[Any]:
    """Everything in a run's description that may name code to import, as JSON data."""
    settings = description.settings
    return [
        description.env_id,
        *kwargs_of(description),
        settings.code_names(),
        list(settings.saving.log),
    ]


def kwargs_of(description: RunDescription) -> list[dict[str, Any]]:
    """The keyword arguments of a run's environments; a text in them may name code, too."""
    settings = description.settings
    own = settings.evaluation.evaluation_env_kwargs
    return [settings.environment.env_kwargs] + ([] if own is None else [own])


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


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, and the paths in it."""

    path: Path
    description: RunDescription
    permission: Permission = field(default=NO_PERMISSION, compare=False)

    @classmethod
    def create(
        cls,
        path: Path,
        description: RunDescription,
        *,
        initial: bytes | None = None,
        overwrite: bool = False,
    ) -> "RunFolder":
        """Make a new run folder; it appears completely or not at all.

        Args:
            path: its path.
            description: the run's description.
            initial: content of the file of the weights that the run begins with, if given.
            overwrite: replace an existing run.

        Raises:
            RunFolderError: the path exists already or is not writable.
        """
        refuse_existing(path, overwrite=overwrite)
        description = description.marked()
        text = description.to_toml()
        if len(text.encode()) > _MAX_CONFIG_BYTES:
            raise SettingError(
                f"the settings of a run can take {_MAX_CONFIG_BYTES:,} bytes, and these take "
                f"{len(text.encode()):,}: give the environment a file's name instead of its content"
            )
        path = path.resolve()
        temporary = temporary_for(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            (temporary / CHECKPOINTS).mkdir(parents=True)
            _check_can_hold_run(temporary, path)
            write_durably(temporary / CONFIG, text.encode())
            if initial is not None:
                write_durably(temporary / INITIAL, initial)
            flush_folder(temporary)
            put_in_place(temporary, path)
        except (OSError, sqlite3.Error) as error:
            raise RunFolderError(f"cannot make the run folder {path}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(path, description)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], permission: Permission = NO_PERMISSION
    ) -> "RunFolder":
        """An existing run folder.

        Args:
            path: its path.
            permission: what the user allows the folder to name.

        Raises:
            RunFolderError: there is none, or it is not a run.
            SettingError: the path can never lead anywhere.
        """
        folder = given_path(path, "the run folder")
        try:
            there = folder.is_dir()
        except OSError:
            there = False
        if not there:
            raise RunFolderError(f"there is no run folder {folder}{_nearby(folder)}")
        try:
            text = read_regular(folder / CONFIG, _MAX_CONFIG_BYTES).decode()
        except (RunFolderError, UnicodeDecodeError) as error:
            raise RunFolderError(_no_run(folder)) from error
        for place in (folder / CHECKPOINTS, folder / BEST, folder / TRACKERS):
            if place.is_symlink():
                raise RunFolderError(f"{place} is a link; everything of a run lies in its folder")
        try:
            # Absolute, because an environment may change the working directory.
            return cls(folder.absolute(), RunDescription.from_toml(text), permission)
        except FrankError as error:
            reason = shown(error, _MAX_REASON)
            raise RunFolderError(f"{folder / CONFIG} is damaged: {reason}") from error

    @property
    def metrics(self) -> Path:
        """The SQLite file of metrics."""
        return self.path / METRICS

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def best(self) -> Path:
        """The folder of the agent with the best evaluation, in the form of a checkpoint."""
        return self.path / BEST

    @property
    def trackers(self) -> Path:
        """The folder of what belongs to trackers."""
        return self.path / TRACKERS

    @property
    def videos(self) -> Path:
        """The folder of films."""
        return self.path / VIDEOS

    def with_objects(self, env: Any, code: Mapping[str, Any]) -> "RunFolder":
        """The same folder, whose description carries the objects that the user gives again.

        Code of evaluations may change, so it is passed over where it differs from the run's.

        Args:
            env: the run's environment, a name or an object; an empty text: it is not given.
            code: values of settings by their names; those that are no code are passed over.

        Raises:
            SettingError: other code than the run's is given.
        """
        description, permission = self.description, self.permission
        env_id, settings = description.env_id, description.settings
        again = named_as_stored(env_id, env)
        is_given = bool(env) if isinstance(env, str) else env is not None
        if is_given and again == env_id:
            env_id, permission = again, permission._replace(env_id=again)
        values, again = settings.values(), description.as_stored(code)
        same = {name: value for name, value in again.items() if value == values[name]}
        for name in again.keys() - same.keys():
            if group_of(name) != "evaluation":
                raise SettingError(
                    f"{name} of {self.path} is {_in_words(values[name])}, not "
                    f"{_in_words(again[name])}"
                )
        description = dataclasses.replace(
            description, env_id=env_id, settings=settings.with_changes(**same)
        )
        return dataclasses.replace(self, description=description, permission=permission)

    def opened_like(self, other: "RunFolder") -> "RunFolder":
        """The same folder with the permission and the objects of another view of it as well."""
        ours, theirs = self.permission, other.permission
        permission = Permission(
            ours.env_id or theirs.env_id,
            ours.allow_code or theirs.allow_code,
            (*ours.named, *theirs.named),
        )
        env_id, settings = other.description.env_id, other.description.settings
        objects = {
            name: value
            for name, value in settings.values().items()
            if any(isinstance(code, GivenCode) for code in code_among({name: value}))
        }
        opened = self.with_objects(env_id if isinstance(env_id, GivenCode) else None, objects)
        return dataclasses.replace(opened, permission=permission)

    def with_description(self, description: RunDescription) -> "RunFolder":
        """The same folder with its `config.toml` replaced."""
        description = description.marked()
        replace_durably(self.path / CONFIG, description.to_toml().encode())
        return RunFolder(self.path, description, self.permission)

    def write_report(self, report: dict[str, Any]) -> None:
        """Save the run's outcome."""
        text = json.dumps(report, indent=2, allow_nan=False) + "\n"
        replace_durably(self.path / REPORT, text.encode())


def temporary_for(path: Path) -> Path:
    """Where this process makes a run folder before it is put in its place."""
    return path.with_name(f".{path.name}.new-{os.getpid()}")


def put_in_place(complete: Path, path: Path) -> None:
    """Rename a complete run folder to its path; a run that is there is replaced, or stays.

    Raises:
        OSError: the folder cannot be renamed.
        RunFolderError: a process writes the run that is there.
    """
    replaced = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        if path.exists():
            with locked(path, path):
                path.rename(replaced)
        complete.rename(path)
        flush_folder(path.parent)
    finally:
        if replaced.exists() and not path.exists():
            replaced.rename(path)
        shutil.rmtree(replaced, ignore_errors=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse a path at which no run may be made.

    Raises:
        RunFolderError: something exists there that must not be replaced.
    """
    try:
        if not path.exists() and not path.is_symlink():
            return
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be a run folder: {error}") from error
    if path.is_symlink():
        raise RunFolderError(f"{path} is a symbolic link; name the folder that it leads to")
    if not is_run(path):
        if path.is_dir() and not any(path.iterdir()):
            return
        raise RunFolderError(f"{path} exists and is not a run: choose another {option('out')}")
    if not overwrite:
        raise RunFolderError(
            f"the run {path} exists already; continue it with {resuming(path)}, replace it with "
            f"{option('overwrite', True)}, or choose another {option('out')}"
        )
    if others := others_of_run(path):
        raise RunFolderError(
            f"{option('overwrite', True)} removes what a run wrote and nothing else, and {path} "
            f"also holds {others}: move that away, or choose another {option('out')}"
        )


def others_of_run(path: Path) -> str:
    """The entries of a run folder that no run writes, in words; empty: there are none.

    Raises:
        RunFolderError: the folder cannot be read.
    """
    trackers = ()
    with contextlib.suppress(FrankError, UnicodeDecodeError):
        text = read_regular(path / CONFIG, _MAX_CONFIG_BYTES).decode()
        trackers = RunDescription.from_toml(text).settings.saving.log
    try:
        others = others_in(path, trackers)
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    return ", ".join(map(shown, others[:_MAX_NAMED])) + ", …" * (len(others) > _MAX_NAMED)


def _check_can_hold_run(folder: Path, run: Path) -> None:
    """Refuse a file system without locks or without SQLite's log; leaves nothing in the folder.

    Raises:
        OSError, sqlite3.Error, RunFolderError: a run cannot be written there.
    """
    RunLock(folder, run).release()
    MetricsWriter(folder / METRICS).close()
    for file in (folder / LOCK, *metrics_files(folder / METRICS)):
        file.unlink(missing_ok=True)


def check_same_environment(folder: RunFolder, info: dict[str, Any]) -> None:
    """Refuse a checkpoint of another environment.

    Raises:
        RunFolderError: it is one.
    """
    if info.get("env_id") != folder.description.env_id:
        raise RunFolderError(
            f"the checkpoint in {folder.path} was made for {shown(info.get('env_id'))!r}, but the "
            f"run's config.toml says {folder.description.env_id!r}"
        )


def is_run(path: Path) -> bool:
    """Whether a folder's `config.toml` is one of Frank's."""
    try:
        text = read_regular(path / CONFIG, _MAX_CONFIG_BYTES).decode()
        run = tomllib.loads(text).get("run")
    except (RunFolderError, ValueError, RecursionError):
        return False
    return isinstance(run, dict) and "env_id" in run and "seed" in run


def _no_run(folder: Path) -> str:
    """Why a folder is no run, and what to name instead."""
    if not (folder / GROUP).is_file():
        return f"{folder} is not a run: it holds no readable {CONFIG}{_nearby(folder)}"
    runs = [file.parent for file in folder.glob(f"s*/{CONFIG}") if file.parent.name[1:].isdecimal()]
    runs.sort(key=lambda run: int(run.name[1:]))
    advice = f"name one of them, such as {runs[0]}" if runs else "none of them has begun yet"
    return f"{folder} holds the runs of several seeds, and this takes one run: {advice}"


def _nearby(folder: Path) -> str:
    """A hint at runs close to a path that is no run."""
    with contextlib.suppress(OSError):
        for root in (folder, folder.parent, Path("runs")):
            found = sorted(root.glob(f"*/{CONFIG}")) or sorted(root.glob(f"*/*/{CONFIG}"))
            if found:
                newest = max(found, key=lambda file: file.stat().st_mtime).parent
                return f"; the newest run near there is {newest}"
    return f"; {training()} makes one below runs/"


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
