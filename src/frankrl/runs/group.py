"""The folder of a group: runs that differ in their seeds alone, and what they have in common.

group.json   environment, preset, seeds and settings
s0 … s63     the runs, each an ordinary run folder
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import FrankError, RunFolderError, SettingError
from frankrl.core.named_code import is_object_name
from frankrl.core.seeds import checked_seeds
from frankrl.core.text import given, shown
from frankrl.core.wording import option, resuming
from frankrl.runs.description import RunDescription
from frankrl.runs.disk import flush_folder, read_regular, replace_durably, write_durably
from frankrl.runs.folder import RunFolder
from frankrl.runs.layout import GROUP
from frankrl.runs.permission import NO_PERMISSION, Permission
from frankrl.runs.place import refuse_existing

_FORMAT = 1
_MAX_BYTES = 1 << 21
_MAX_REASON = 500
_TEXTS = ("env_id", "preset", "mark")


@dataclass(frozen=True)
class RunGroup:
    """The folder of a group of runs."""

    path: Path
    description: RunDescription
    """What the runs have in common; its seed is the first one."""
    seeds: tuple[int, ...]
    lanes: int = 0
    """How many runs are one program, in the order of the seeds; 0: each is a process."""
    permission: Permission = field(default=NO_PERMISSION, compare=False)

    @classmethod
    def create(
        cls, path: Path, description: RunDescription, seeds: tuple[int, ...], lanes: int = 0
    ) -> "RunGroup":
        """Make the folder of a group, which holds no run yet.

        Args:
            path: its path.
            description: what the runs have in common.
            seeds: their seeds.
            lanes: how many of them are one program; 0: each is a process.

        Raises:
            RunFolderError: the path exists already or is not writable.
        """
        refuse_existing_group(path)
        description = replace(description, seed=seeds[0]).marked()
        group = cls(path, description, seeds, lanes)
        # Before there is a folder, since it refuses code without a name.
        content = group._to_json().encode()
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_durably(path / GROUP, content)
            flush_folder(path)
        except OSError as error:
            raise RunFolderError(f"cannot make the folder of runs {path}: {error}") from error
        return group

    @classmethod
    def open(cls, path: Path, permission: Permission = NO_PERMISSION) -> "RunGroup":
        """An existing group; nothing that it names is imported.

        Args:
            path: its folder.
            permission: what the user allows the folder to name.

        Raises:
            RunFolderError: there is no group, or its file is damaged.
        """
        file = path / GROUP
        try:
            plain: Any = json.loads(read_regular(file, _MAX_BYTES))
            description, seeds, lanes = _read(plain)
        except (FrankError, ValueError, RecursionError) as error:
            reason = shown(error, _MAX_REASON)
            raise RunFolderError(f"{file} is damaged: {reason}") from error
        return cls(path.absolute(), description, seeds, lanes, permission)

    def with_settings(self, settings: Settings) -> "RunGroup":
        """The same group with its `group.json` replaced; its runs are as they were.

        Raises:
            RunFolderError: it is not writable.
        """
        description = replace(self.description, settings=settings).marked()
        group = replace(self, description=description)
        try:
            replace_durably(self.path / GROUP, group._to_json().encode())
        except OSError as error:
            raise RunFolderError(f"cannot write {self.path / GROUP}: {error}") from error
        return group

    def path_of(self, seed: int) -> Path:
        """The run folder of a seed, whether it is there or not."""
        return self.path / f"s{seed}"

    def program_of(self, seed: int) -> tuple[int, ...]:
        """The seeds of the program in which a seed has a lane; none if each run is a process."""
        if not self.lanes:
            return ()
        first = self.seeds.index(seed) // self.lanes * self.lanes
        return self.seeds[first : first + self.lanes]

    def begun(self) -> list[Path]:
        """The run folders that are there, in the order of the seeds.

        Raises:
            RunFolderError: one of them is a link.
        """
        found = []
        for seed in self.seeds:
            run = self.path_of(seed)
            if run.is_symlink():
                raise RunFolderError(f"{run} is a link; the runs of a group lie in its folder")
            found += [run] if run.is_dir() else []
        return found

    def as_run(self) -> RunFolder:
        """What the runs have in common as the folder of a run, for checks of the code it names."""
        return RunFolder(self.path, self.description, self.permission)

    def _to_json(self) -> str:
        description = self.description
        for name in (description.env_id, *_code_in(description.settings)):
            if is_object_name(name):
                raise SettingError(
                    f"{name} was given from Python and has no name to import it by, so the runs of "
                    "several seeds cannot name it: give a module's attribute, module:Name"
                )
        plain = {
            "format": _FORMAT,
            "env_id": description.env_id,
            "preset": description.preset,
            "seeds": self.seeds,
            "lanes": self.lanes,
            "settings": description.settings.to_tables(),
            "mark": description.mark,
        }
        return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def is_group(path: Path) -> bool:
    """Whether a folder is that of a group."""
    try:
        return (path / GROUP).is_file()
    except (OSError, ValueError):
        return False


def refuse_existing_group(path: Path) -> None:
    """Refuse a path at which no group may be made.

    Raises:
        RunFolderError: something exists there.
    """
    if is_group(path):
        raise RunFolderError(
            f"{path} holds the runs of several seeds already; continue them with {resuming(path)}, "
            f"or choose another {option('out')}"
        )
    refuse_existing(path, overwrite=False)


def _code_in(settings: Settings) -> list[str]:
    return [name for names in settings.code_names().values() for name in names]


def _read(plain: Any) -> tuple[RunDescription, tuple[int, ...], int]:
    """What a file of a group says.

    Raises:
        SettingError: it says nothing of the kind.
    """
    if not isinstance(plain, dict) or plain.get("format") != _FORMAT:
        raise SettingError(f"it must be an object of format {_FORMAT}, got {given(plain)}")
    if not isinstance(plain.get("settings"), dict):
        raise SettingError(f"settings must be an object, got {given(plain.get('settings'))}")
    for name in _TEXTS:
        if not isinstance(plain.get(name), str):
            raise SettingError(f"{name} must be text, got {given(plain.get(name))}")
    seeds, lanes = checked_seeds(plain.get("seeds")), plain.get("lanes")
    if type(lanes) is not int or not 0 <= lanes <= len(seeds):
        raise SettingError(f"lanes must be from 0 to the number of seeds, got {given(lanes)}")
    settings = Settings.from_tables(plain["settings"])
    for name in settings.unresolved():
        raise SettingError(f"{name} must be a number of {settings.clock}")
    description = RunDescription(
        plain["env_id"], plain["preset"], seeds[0], settings, mark=plain["mark"]
    )
    return description, seeds, lanes
