"""The sweeps below a folder, kept up to date while a page is open."""

import dataclasses
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frankrl.core.errors import FrankError, RunFolderError
from frankrl.core.figures import figure
from frankrl.core.text import shown
from frankrl.dashboard.sweep_payload import (
    SweepRecords,
    best_trial,
    state_counts,
    sweep_payload,
)
from frankrl.listing.run_index import SWEEP, Stamp, id_and_name, stamp_of
from frankrl.sweeps.records import TRIALS, RecordedSweep, read_definition
from frankrl.sweeps.trial import Trial, read_trial, trial_files

MAX_SWEEPS = 100
"""Number of sweeps that are listed."""
MAX_TRIALS = 2_000
"""Number of trials of a sweep that are shown."""
_MAX_ERROR = 500
_KEPT_PAYLOADS = 4


class SweepTable:
    """The sweeps that the page lists, and the payload of each.

    Thread-safe: a lock lets one method run at a time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._sweeps: dict[str, _Sweep] = {}
        self._payloads: dict[str, tuple[int, bytes]] = {}
        """By sweep, the newest last: its count of changes, and how the page draws it."""
        self._lock = threading.Lock()

    def refresh(self, folders: Sequence[Path]) -> bool:
        """Read what is new in these folders; returns whether something is."""
        with self._lock:
            known = {sweep.path: sweep for sweep in self._sweeps.values()}
            sweeps = [known.get(path) or _Sweep(self._root, path) for path in folders[:MAX_SWEEPS]]
            changed = [sweep.refresh() for sweep in sweeps]
            is_same = list(self._sweeps) == [sweep.id for sweep in sweeps]
            self._sweeps = {sweep.id: sweep for sweep in sweeps}
            return any(changed) or not is_same

    def summaries(self) -> list[dict[str, Any]]:
        """What the list of sweeps shows of each."""
        with self._lock:
            return [sweep.summary() for sweep in self._sweeps.values()]

    def payload(self, sweep_id: str) -> bytes:
        """A sweep as the page draws it, as JSON.

        Raises:
            RunFolderError: there is no such sweep, or it cannot be read.
        """
        with self._lock:
            sweep = self._sweeps.get(sweep_id)
            if sweep is None:
                raise RunFolderError("there is no such sweep here; reload the page")
            change, content = self._payloads.pop(sweep_id, (-1, b""))
            if change != sweep.change:
                change, content = sweep.change, json.dumps(sweep.payload()).encode()
            kept = [*self._payloads.items(), (sweep_id, (change, content))]
            self._payloads = dict(kept[-_KEPT_PAYLOADS:])
            return content


class _Sweep:
    """One sweep; only records that changed are read again."""

    def __init__(self, root: Path, path: Path) -> None:
        self.path = path
        self.id, self._name = id_and_name(root, path)
        self._root = root
        self.change = 0
        """Counts the changes of its records."""
        self._stamps: tuple[Stamp | None, ...] = ()
        self._is_settled = False
        self._definition: RecordedSweep | None = None
        self._error = ""
        self._read: dict[Path, tuple[Stamp | None, Trial | str]] = {}
        """By record: its stamp, and the trial or why it cannot be read."""
        self._is_whole = True

    def refresh(self) -> bool:
        """Read what has changed; returns whether something has."""
        stamps = (stamp_of(self.path / SWEEP), stamp_of(self.path / TRIALS))
        is_same = stamps == self._stamps
        # A record is put in its place by renaming, which changes the time of the folder of trials.
        # Two changes can have the same time, so the first look without a change reads it again.
        if is_same and self._is_settled:
            return False
        self._is_settled = is_same
        is_changed = not is_same and stamps[:1] != self._stamps[:1]
        if is_changed:
            self._read_definition()
        self._stamps = stamps
        is_changed = self._read_trials() or is_changed
        self.change += is_changed
        return is_changed

    def _read_definition(self) -> None:
        try:
            self._definition, self._error = read_definition(self.path), ""
        except FrankError as error:
            self._definition, self._error = None, shown(error, _MAX_ERROR)

    def _read_trials(self) -> bool:
        try:
            paths = trial_files(self.path / TRIALS)
        except OSError:
            paths = []
        self._is_whole = len(paths) <= MAX_TRIALS
        before, self._read = self._read, {}
        for path in paths[:MAX_TRIALS]:
            stamp = stamp_of(path)
            known = before.get(path)
            self._read[path] = known if known and known[0] == stamp else (stamp, _trial_in(path))
        return self._read != before

    def summary(self) -> dict[str, Any]:
        """What the list of sweeps shows of it."""
        summary = {"id": self.id, "name": self._name, "change": self.change}
        if self._definition is None:
            return summary | {"error": self._error}
        records = self._records(self._definition)
        best = best_trial(records)
        written = max((stamp[0] for stamp in self._stamps if stamp), default=0)
        return summary | {
            "error": "",
            "is_root": self.path == self._root,
            "env_id": shown(self._definition.env_id),
            "preset": shown(self._definition.preset),
            "objective": f"{shown(self._definition.objective)}, {self._definition.direction}",
            "trials": self._definition.trials,
            "states": state_counts(records),
            "best": None if best is None else best.number,
            "best_text": "–" if best is None or best.value is None else figure(best.value),
            "written_at": written / 1e9,
        }

    def payload(self) -> dict[str, Any]:
        """The sweep as the page draws it.

        Raises:
            RunFolderError: its definition cannot be read.
        """
        if self._definition is None:
            raise RunFolderError(self._error)
        records = self._records(self._definition)
        runs = {run for trial in records.trials for run in trial.runs}
        run_ids = {run: id_and_name(self._root, self.path / run)[0] for run in runs}
        return {
            "id": self.id,
            "name": self._name,
            "limit": 0 if self._is_whole else MAX_TRIALS,
            **sweep_payload(records, run_ids),
        }

    def _records(self, definition: RecordedSweep) -> SweepRecords:
        trials = [one for _, one in self._read.values() if isinstance(one, Trial)]
        trials.sort(key=lambda trial: trial.number)
        damaged = {
            shown(path.name): one for path, (_, one) in self._read.items() if isinstance(one, str)
        }
        return SweepRecords(definition, trials, damaged)


def _trial_in(path: Path) -> Trial | str:
    try:
        # Nothing is shown of the evaluations, which take the most memory.
        return dataclasses.replace(read_trial(path), intermediate=())
    except FrankError as error:
        return shown(error, _MAX_ERROR)
