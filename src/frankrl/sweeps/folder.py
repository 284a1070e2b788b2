"""The folder of a sweep: its definition, its trials and its runs."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from frankrl.core.errors import DamagedError, RunFolderError, SettingError, warn
from frankrl.core.figures import counted
from frankrl.core.wording import option
from frankrl.jobs import Driver, driven
from frankrl.listing.run_index import SWEEP
from frankrl.runs import read_regular
from frankrl.runs.disk import replace_durably
from frankrl.runs.layout import DRIVER
from frankrl.sweeps.definition import Definition, differences
from frankrl.sweeps.records import TRIALS, RecordedSweep, read_definition
from frankrl.sweeps.space import Space, is_point
from frankrl.sweeps.trial import Trial, file_of, read_trials

_MAX_BYTES = 1 << 22
_FOLDERS = (DRIVER, TRIALS, "runs", "jobs", "published")
"""Folders that a sweep writes."""


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep, and the paths in it."""

    path: Path

    @property
    def definition(self) -> Path:
        """What the sweep is."""
        return self.path / SWEEP

    @property
    def trials(self) -> Path:
        """The folder of the trials' files."""
        return self.path / TRIALS

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

    def read_trials(self, space: Space) -> dict[int, Trial]:
        """All trials so far by their number, in order.

        Args:
            space: what the sweep searches: a trial has these settings and no others, since a file
                may come from anyone.

        Raises:
            DamagedError: a file of one is damaged.
        """
        trials = read_trials(self.trials)
        for number, trial in trials.items():
            if not is_point(space, trial.settings):
                raise DamagedError(
                    f"{file_of(self.trials, number)} is damaged: its settings do not lie in the "
                    "space that is searched; remove it, and the same command makes it anew from "
                    "its runs"
                )
        return trials

    def read_definition(self) -> RecordedSweep:
        """The definition of the sweep that is there.

        Raises:
            RunFolderError: there is no sweep, or its definition is damaged.
        """
        if not self.definition.exists():
            raise RunFolderError(f"{self.path} is no sweep: it holds no {SWEEP}")
        return read_definition(self.path)

    @contextlib.contextmanager
    def opened(
        self, definition: Definition, num_trials: int, *, lag_given: bool
    ) -> Iterator[tuple[Definition, Driver]]:
        """Begin or continue the sweep; no other process can within the block.

        Args:
            definition: what the sweep is to be.
            num_trials: number of trials.
            lag_given: whether its lag was asked for; else that of the folder is kept.

        Yields:
            The definition, with the lag of the folder, and the right to drive its runs.

        Raises:
            RunFolderError: the folder holds something else, another process drives it, or it
                cannot be written.
        """
        self.check_free()
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(
                f"the sweep {self.path} cannot be written: {error.strerror or error}"
            ) from error
        with driven(self.path) as driver:
            if self.definition.exists():
                definition = self._continued(definition, num_trials, lag_given=lag_given)
            self._write(definition, num_trials)
            yield definition, driver

    def check_free(self) -> None:
        """Check that the folder holds a sweep, or nothing.

        Raises:
            RunFolderError: it holds something else, or cannot be read.
        """
        for name in _FOLDERS:
            if (self.path / name).is_symlink():
                raise RunFolderError(
                    f"{self.path / name} is a link, and a sweep writes only into its own folder: "
                    f"move the folder itself there, or choose another {option('out')}"
                )
        # A sweep that was killed as it began has these at most.
        own = (DRIVER, TRIALS, "published", f".{self.definition.name}.new")
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
        recorded = self.read_definition()
        there, their_trials = recorded.plain, recorded.trials
        if not lag_given:
            definition = dataclasses.replace(definition, lag=max(1, recorded.lag))
        ours = json.loads(json.dumps(definition.to_plain()))
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
        if recorded.versions != definition.versions:
            theirs = ", ".join(f"{name} {value}" for name, value in recorded.versions.items())
            warn(
                f"the sweep {self.path} was begun with {theirs}; trials that are drawn from here "
                "on may differ from those of an undisturbed sweep"
            )
            return dataclasses.replace(
                definition, versions=_both(recorded.versions, definition.versions)
            )
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


def _both(theirs: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The versions of a sweep that different ones have taken part in, so that each differs."""
    return {
        name: ", ".join(dict.fromkeys([*theirs.get(name, "").split(", "), version])).lstrip(", ")
        for name, version in ours.items()
    }
