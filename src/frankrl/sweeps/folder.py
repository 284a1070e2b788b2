"""The folder of a sweep: its definition, its trials and its runs."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.core.errors import RunFolderError, SettingError, warn
from frankrl.core.figures import counted
from frankrl.core.wording import option
from frankrl.runs import read_regular
from frankrl.runs.disk import replace_durably
from frankrl.runs.lock import LOCK, locked
from frankrl.sweeps.definition import Definition, differences
from frankrl.sweeps.trial import Trial, read_trials

_MAX_BYTES = 1 << 22
_ENTRIES = {
    "env_id": str,
    "preset": str,
    "fixed": dict,
    "settings": dict,
    "space": dict,
    "objective": str,
    "direction": str,
    "seeds": list,
    "sweep_seed": int,
    "sampler": str,
    "pruner": str,
    "lag": int,
    "versions": dict,
    "trials": int,
}


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep, and the paths in it."""

    path: Path

    @property
    def definition(self) -> Path:
        """What the sweep is."""
        return self.path / "sweep.json"

    @property
    def trials(self) -> Path:
        """The folder of the trials' files."""
        return self.path / "trials"

    @property
    def jobs(self) -> Path:
        """The folder of jobs whose commands are printed."""
        return self.path / "jobs"

    @property
    def journal(self) -> Path:
        """Optuna's storage."""
        return self.path / "optuna.journal"

    @property
    def best(self) -> Path:
        """The best settings as a preset."""
        return self.path / "best.toml"

    @property
    def table(self) -> Path:
        """The trials for spreadsheets."""
        return self.path / "trials.csv"

    def read_trials(self) -> dict[int, Trial]:
        """All trials so far by their number, in order.

        Raises:
            DamagedError: a file of one is damaged.
        """
        return read_trials(self.trials)

    def read_definition(self) -> dict[str, Any]:
        """The definition as JSON data, with the number of `trials`.

        Raises:
            RunFolderError: there is no sweep, or its definition is damaged.
        """
        try:
            text = read_regular(self.definition, _MAX_BYTES)
        except RunFolderError as error:
            raise RunFolderError(
                f"{self.path} is no sweep: it holds no readable {self.definition.name}"
            ) from error
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunFolderError(f"{self.definition} is damaged: {error}") from error
        for name, kind in _ENTRIES.items():
            if not isinstance(plain, dict) or not isinstance(plain.get(name), kind):
                raise RunFolderError(f"{self.definition} is damaged: {name} is missing")
        return plain

    @contextlib.contextmanager
    def opened(
        self, definition: Definition, num_trials: int, *, lag_given: bool
    ) -> Iterator[Definition]:
        """Begin or continue the sweep; no other process can within the block.

        Args:
            definition: what the sweep is to be.
            num_trials: number of trials.
            lag_given: whether its lag was asked for; else that of the folder is kept.

        Yields:
            The definition, with the lag of the folder.

        Raises:
            RunFolderError: the folder holds something else, or cannot be written.
        """
        self.check_free()
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"the sweep {self.path} cannot be written: {error.strerror or error}"
            ) from error
        with locked(self.path, self.path):
            if self.definition.exists():
                definition = self._continued(definition, num_trials, lag_given=lag_given)
            self._write(definition, num_trials)
            yield definition

    def check_free(self) -> None:
        """Check that the folder holds a sweep, or nothing.

        Raises:
            RunFolderError: it holds something else, or cannot be read.
        """
        # A sweep that was killed as it began has these at most.
        own = (LOCK, "trials", "published", f".{self.definition.name}.new")
        try:
            if self.definition.exists() or not self.path.exists():
                return
            others = sorted(e.name for e in self.path.iterdir() if e.name not in own)
        except OSError as error:
            raise RunFolderError(
                f"the sweep {self.path} cannot be read: {error.strerror or error}"
            ) from error
        if others:
            raise RunFolderError(
                f"{self.path} holds other files and no sweep ({others[0]}): choose another "
                f"{option('out')}"
            )

    def _continued(self, definition: Definition, num_trials: int, *, lag_given: bool) -> Definition:
        """The definition for going on with what the folder holds."""
        there = self.read_definition()
        if not lag_given:
            definition = dataclasses.replace(definition, lag=max(1, there["lag"]))
        ours = json.loads(json.dumps(definition.to_plain()))
        their_trials = there.pop("trials")
        if different := differences(ours, there):
            raise RunFolderError(
                f"{self.path} holds another sweep, with {', '.join(different)}: repeat its "
                f"command, or choose another {option('out')}"
            )
        if num_trials < their_trials:
            raise SettingError(
                f"{self.path} holds a sweep of {counted(their_trials, 'trial')}: give "
                f"{option('trials', their_trials)} or more"
            )
        if there["versions"] != ours["versions"]:
            theirs = ", ".join(f"{name} {value}" for name, value in there["versions"].items())
            warn(
                f"the sweep {self.path} was begun with {theirs}; trials that are drawn from here "
                "on may differ from those of an undisturbed sweep"
            )
            return dataclasses.replace(definition, versions=there["versions"])
        return definition

    def _write(self, definition: Definition, num_trials: int) -> None:
        text = json.dumps(definition.to_plain() | {"trials": num_trials}, indent=1)
        content = (text + "\n").encode()
        with contextlib.suppress(OSError, RunFolderError):
            if read_regular(self.definition, _MAX_BYTES) == content:
                return
        try:
            replace_durably(self.definition, content)
        except OSError as error:
            raise RunFolderError(
                f"the sweep {self.path} cannot be written: {error.strerror or error}"
            ) from error
