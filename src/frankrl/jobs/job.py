"""What a job is: one run to train, as plain JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.config import Settings
from frankrl.core.errors import FrankError, SettingError
from frankrl.core.named_code import is_object_name
from frankrl.core.random import check_seed
from frankrl.core.text import given
from frankrl.jobs.pruning import PruningRule
from frankrl.runs import RunDescription, check_code, read_regular
from frankrl.runs.folder import RunFolder
from frankrl.runs.permission import permission_of
from frankrl.runs.same_run import unlike

_MAX_BYTES = 1 << 24
"""Room for a pruning rule with `MAX_EARLIER_EVALUATIONS` and for the settings."""
_TEXTS = ("env_id", "preset", "run", "mark")


@dataclass(frozen=True)
class Job:
    """One run to train."""

    env_id: str
    preset: str
    """What the run calls its settings."""
    settings: Settings
    seed: int
    run: Path
    """The run folder, an absolute path."""
    pruning: PruningRule | None = None
    """When the run should end before its end, because it is worse than others; None: never."""

    def to_json(self) -> str:
        """The job on one line, with this user's mark under the code that it names.

        Raises:
            SettingError: it needs an object of Python that has no name to import it by.
        """
        for name in (self.env_id, *(n for ns in self.settings.code_names().values() for n in ns)):
            if is_object_name(name):
                raise SettingError(
                    f"{name} was given from Python and has no name to import it by, so no other "
                    "process can use it: give a module's attribute, module:Name"
                )
        plain = {
            "env_id": self.env_id,
            "preset": self.preset,
            "settings": self.settings.to_tables(),
            "seed": self.seed,
            "run": str(self.run),
            "pruning": self.pruning,
            "mark": self._description().marked().mark,
        }
        return json.dumps(plain, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job that another process of the same user describes; nothing is imported.

        Raises:
            SettingError: it is none.
        """
        return cls._read(text)[0]

    @classmethod
    def open(cls, path: Path, *, allow_code: bool = False) -> "Job":
        """The job in a file, whose code may be imported.

        Args:
            path: the file.
            allow_code: whether the user allows what the file names, whoever wrote it.

        Raises:
            FrankError: there is no such job, or it names code and is somebody else's.
        """
        try:
            job, mark = cls._read(read_regular(path, _MAX_BYTES).decode())
        except UnicodeDecodeError as error:
            raise SettingError(f"{path} is no job: {error}") from error
        except SettingError as error:
            raise SettingError(f"{path} is no job: {error}") from error
        description = job._description(mark)
        permission = permission_of(None, allow_code)
        code = tuple(description.settings.code_names())
        check_code(RunFolder(path.absolute(), description, permission), code)
        return job

    @classmethod
    def _read(cls, text: str) -> tuple["Job", str]:
        try:
            plain: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingError(f"it is not JSON: {error}") from error
        if not isinstance(plain, dict) or not isinstance(plain.get("settings"), dict):
            raise SettingError(f"it must be an object that has settings, got {given(plain)}")
        for name in _TEXTS:
            if not isinstance(plain.get(name), str):
                raise SettingError(f"{name} must be text, got {given(plain.get(name))}")
        check_seed(plain.get("seed"))
        if not Path(plain["run"]).is_absolute():
            raise SettingError(f"run must be an absolute path, got {given(plain['run'])}")
        settings = Settings.from_tables(plain["settings"])
        run = Path(plain["run"])
        rule = plain.get("pruning")
        pruning = None if rule is None else PruningRule.from_plain(rule)
        job = cls(plain["env_id"], plain["preset"], settings, plain["seed"], run, pruning)
        return job, plain["mark"]

    def _description(self, mark: str = "") -> RunDescription:
        return RunDescription(self.env_id, self.preset, self.seed, self.settings, mark=mark)

    def check_same(self, folder: RunFolder) -> None:
        """Check that a run folder is of this job; its run may have had a smaller budget.

        Raises:
            FrankError: it is of another one.
        """
        if different := unlike(self._description(), folder.description, goes_on=True):
            raise FrankError(
                f"{folder.path} holds another run: {'; '.join(different)}; move it away, or choose "
                "another folder"
            )
