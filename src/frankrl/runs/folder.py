"""The run folder, which holds everything about one run."""

import contextlib
import dataclasses
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frankrl.config import code_among, group_of
from frankrl.config.choices import NONE
from frankrl.core.errors import FrankError, RunFolderError, SettingError
from frankrl.core.named_code import GivenCode, named_as_stored
from frankrl.core.paths import given_path
from frankrl.core.text import shown
from frankrl.core.wording import training
from frankrl.runs.description import RunDescription
from frankrl.runs.disk import flush_folder, read_regular, replace_durably, write_durably
from frankrl.runs.initial import INITIAL
from frankrl.runs.layout import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    GROUP,
    MAX_CONFIG_BYTES,
    METRICS,
    REPORT,
    TRACKERS,
    VIDEOS,
)
from frankrl.runs.permission import NO_PERMISSION, Permission
from frankrl.runs.place import check_can_hold_run, put_in_place, refuse_existing, temporary_for

_MAX_REASON = 500
"""Characters of an error that a message quotes."""


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
        if len(text.encode()) > MAX_CONFIG_BYTES:
            raise SettingError(
                f"the settings of a run can take {MAX_CONFIG_BYTES:,} bytes, and these take "
                f"{len(text.encode()):,}: give the environment a file's name instead of its content"
            )
        path = path.resolve()
        temporary = temporary_for(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            (temporary / CHECKPOINTS).mkdir(parents=True)
            check_can_hold_run(temporary, path)
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
            text = read_regular(folder / CONFIG, MAX_CONFIG_BYTES).decode()
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


def _in_words(code: Any) -> str:
    return shown((", ".join(code) or NONE) if isinstance(code, tuple) else code)


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
