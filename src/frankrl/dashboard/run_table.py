"""The table of runs and their curves, kept up to date while a page is open."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frankrl.core.errors import RunFolderError, SettingError
from frankrl.core.figures import counted
from frankrl.core.text import shown
from frankrl.dashboard.group_table import GroupTable
from frankrl.dashboard.history import History
from frankrl.dashboard.published_jobs import PublishedJobs
from frankrl.dashboard.series import (
    AXES,
    Axis,
    band_traces,
    refreshes,
    traces,
)
from frankrl.dashboard.sweep_table import SweepTable
from frankrl.dashboard.warnings import RunWarning, checked, metrics_warnings
from frankrl.environments.threshold import reward_threshold
from frankrl.listing.run_index import MAX_RUNS, ODD, Listed, RunIndex, stamp_of
from frankrl.listing.run_row import Row, row_of
from frankrl.listing.run_settings import settings_side_by_side
from frankrl.listing.run_status import status_of
from frankrl.runs.curves import grouped, one_of_each_seed
from frankrl.runs.folder import RunFolder
from frankrl.runs.layout import METRICS, REPORT
from frankrl.runs.lock import LOCK, is_held

MAX_SELECTED = 24
"""Number of runs that can be shown together."""
_KEPT_HISTORIES = 48


class RunTable:
    """The rows of the table of runs, and the curves of the selected runs.

    Thread-safe: a lock lets one method run at a time.
    """

    def __init__(self, root: Path) -> None:
        self._index = RunIndex(root)
        self.sweeps = SweepTable(root)
        """The sweeps below the same folder."""
        self._groups = GroupTable(root)
        self.published = PublishedJobs(root)
        """The published runs below the same folder."""
        self._sweeps_change = 0
        """The count of changes at the last change of a sweep."""
        self._listed: dict[str, Listed] = {}
        self._rows: dict[str, Row] = {}
        self._texts: dict[str, str] = {}
        """Each row as JSON."""
        self._stamps: dict[str, tuple] = {}
        self._histories: dict[str, History] = {}
        self._num_kept = _KEPT_HISTORIES
        self._answers: dict[tuple, bytes] = {}
        self._forget_requested = False
        self._lock = threading.Lock()
        self.change = 0
        """Counts changes of rows; each row stores the count at its last change."""

    def refresh(self, *, everything: bool = True) -> None:
        """Update the rows of runs that have changed.

        Args:
            everything: also scan for new runs and check runs that were not running.
        """
        with self._held():
            if everything:
                self._listed = self._index.scan()
                self._refresh_others()
            for gone in self._rows.keys() - self._listed.keys():
                del self._rows[gone], self._texts[gone], self._stamps[gone]
                self._histories.pop(gone, None)
                self.change += 1
            for listed in self._listed.values():
                if everything or self._is_running(listed):
                    self._update_row(listed)
            groups = self._index.groups
            self.change += self._groups.refresh(groups, self._listed, self._rows, self.change + 1)

    def _refresh_others(self) -> None:
        self.change += self.published.refresh(self._index.published)
        if self.sweeps.refresh(self._index.sweeps):
            self.change += 1
            self._sweeps_change = self.change

    def _is_running(self, listed: Listed) -> bool:
        return self._rows.get(listed.id, {}).get("state") == "running"

    def _update_row(self, listed: Listed) -> None:
        files = (METRICS, f"{METRICS}-wal", REPORT, LOCK)
        stamp = (listed, *(stamp_of(listed.path / name) for name in files))
        unchanged = self._stamps.get(listed.id) == stamp
        if unchanged and (not self._is_running(listed) or is_held(listed.path)):
            return
        self._stamps[listed.id] = stamp
        self.change += 1
        written = max(mark[0] for mark in stamp[1:] if mark) if any(stamp[1:]) else 0
        always = {"change": self.change, "written_at": written / 1e9}
        try:
            row = row_of(listed, status_of(listed.path)) | always
            text = json.dumps(row, allow_nan=False)
        except ODD as error:
            odd = f"its files are odd: {error}"
            row = {"id": listed.id, "name": listed.name, "error": odd} | always
            text = json.dumps(row)
        self._rows[listed.id], self._texts[listed.id] = row, text

    def rows_since(self, change: int) -> tuple[int, str]:
        """What changed after a given `change`, as JSON, and the current `change`.

        The JSON has the changed rows, all sweeps if one of them changed, else null, and the number
        of published runs.
        """
        with self._held():
            in_groups = self._groups.all_members()
            shown_ids = [run_id for run_id in self._rows if run_id not in in_groups]
            changed = [self._texts[i] for i in shown_ids if self._rows[i]["change"] > change]
            changed += self._groups.texts_since(change)
            limit = 0 if self._index.is_whole else MAX_RUNS
            ids = json.dumps([*shown_ids, *self._groups.ids()])
            is_new = self._sweeps_change > change
            sweeps = json.dumps(self.sweeps.summaries() if is_new else None)
            rows = ", ".join(changed)
            jobs = len(self.published)
            text = (
                f'{{"ids": {ids}, "limit": {limit}, "jobs": {jobs}, "rows": [{rows}], '
                f'"sweeps": {sweeps}}}'
            )
            return self.change, text

    def folder(self, run_id: str) -> RunFolder:
        """A run's folder.

        Raises:
            RunFolderError: there is no such run, or it cannot be read.
        """
        listed = self._listed_as(run_id)
        if listed.folder is None:
            raise RunFolderError(listed.error)
        return listed.folder

    def _listed_as(self, run_id: str) -> Listed:
        listed = self._listed.get(run_id)
        if listed is None and self._groups.members(run_id) is not None:
            raise RunFolderError(
                f"{self._groups.name(run_id)} holds the runs of several seeds: to look into one of "
                f"them, start the dashboard with {shown(self._groups.path(run_id))}"
            )
        if listed is None:
            raise RunFolderError("there is no such run here; reload the page")
        return listed

    def curves(self, run_ids: tuple[str, ...], axis: str, *, group: bool) -> bytes:
        """The curves of some runs, as JSON.

        Args:
            run_ids: ids of the runs.
            axis: one of `AXES`.
            group: merge runs that differ only in their seed into one curve.

        Returns:
            The curves, and the reason for each run that cannot be read.

        Raises:
            SettingError: an argument is not allowed.
            RunFolderError: there is no such run.
        """
        if axis not in AXES:
            raise SettingError(f"x must be one of {', '.join(AXES)}, got {axis[:20]!r}")
        _check_number(run_ids)
        with self._held():
            histories, unread = {}, {}
            single = [one for run_id in run_ids for one in self._runs_of(run_id)]
            self._num_kept = max(_KEPT_HISTORIES, len(single))
            for run_id in single:
                listed = self._listed_as(run_id)
                try:
                    histories[run_id] = self._history(run_id)
                except (RunFolderError, *ODD) as error:
                    unread[listed.name] = shown(error)
            stamps = tuple(history.stamp for history in histories.values())
            key = (run_ids, axis, group)
            asked = (key, stamps, tuple(unread.items()))
            if asked not in self._answers:
                curves = self._curves_payload(run_ids, histories, axis, group=group)
                payload = curves | {"unread": unread}
                # Older answers to the same request are useless.
                others = {k: v for k, v in self._answers.items() if k[0] != key}
                self._answers = dict(list(others.items())[-_KEPT_HISTORIES:])
                self._answers[asked] = json.dumps(payload, allow_nan=False).encode()
            return self._answers[asked]

    def _runs_of(self, run_id: str) -> tuple[str, ...]:
        """The runs behind a row: itself, or those of a group that have begun."""
        members = self._groups.members(run_id)
        return (run_id,) if members is None else members

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the lock; then drop the caches if `forget` was called meanwhile."""
        with self._lock:
            try:
                yield
            finally:
                if self._forget_requested:
                    self._drop_caches()

    def _drop_caches(self) -> None:
        self._forget_requested = False
        self._histories.clear()
        self._answers.clear()

    def settings(self, run_ids: tuple[str, ...]) -> bytes:
        """The settings of some runs side by side, as JSON.

        Raises:
            SettingError: too many runs are named.
            RunFolderError: there is no such run, or it cannot be read.
        """
        _check_number(run_ids)
        with self._held():
            runs = {i: members[0] for i in run_ids if (members := self._runs_of(i))}
            folders = [self.folder(run_id) for run_id in runs.values()]
            payload = {
                "runs": [self._name(row_id) for row_id in runs],
                "rows": settings_side_by_side([folder.description for folder in folders]),
            }
        return json.dumps(payload).encode()

    def warnings(self, run_id: str) -> list[RunWarning]:
        """The warnings about a run, from its metrics and settings.

        Raises:
            RunFolderError: there is no such run.
        """
        with self._held():
            history = self._history(run_id)
            return metrics_warnings(history, self.folder(run_id).description.settings)

    def checked(self, run_id: str) -> list[str]:
        """What the warnings about a run look at, in words; arguments and errors as of `folder`."""
        with self._held():
            return checked(self.folder(run_id).description.settings)

    def forget(self) -> None:
        """Drop all caches, because no page is open any more.

        This never waits for the lock, which a reader on a slow disk may hold; that reader then
        drops the caches when it is done.
        """
        self._forget_requested = True
        if self._lock.acquire(blocking=False):
            try:
                self._drop_caches()
            finally:
                self._lock.release()

    def _history(self, run_id: str) -> History:
        folder = self.folder(run_id)
        history = self._histories.pop(run_id, None) or History(folder.metrics)
        history.refresh()
        # Insertion order is the order of use: the least recently used is first.
        self._histories[run_id] = history
        while len(self._histories) > self._num_kept:
            del self._histories[next(iter(self._histories))]
        return history

    def _name(self, row_id: str) -> str:
        is_run = row_id in self._listed
        return self._listed[row_id].name if is_run else self._groups.name(row_id)

    def _curves_payload(
        self,
        row_ids: tuple[str, ...],
        histories: dict[str, History],
        axis: Axis,
        *,
        group: bool,
    ) -> dict[str, Any]:
        folders = {run_id: self.folder(run_id) for run_id in histories}
        if group:
            by_path = {folder.path.resolve(): run_id for run_id, folder in folders.items()}
            groups = [
                (f"{env_id} · {name}", [by_path[folder.path.resolve()] for folder in members])
                for (env_id, name), members in grouped(folders.values()).items()
            ]
        else:
            groups = [
                (self._name(i), [m for m in self._runs_of(i) if m in histories]) for i in row_ids
            ]
        is_several = {self._name(i) for i in row_ids if i not in self._listed}
        return {
            "x": axis,
            "series": [
                self._series(
                    label,
                    {m: (histories[m], folders[m]) for m in members},
                    axis,
                    group=group or label in is_several,
                )
                for label, members in groups
                if members
            ],
        }

    def _series(
        self,
        label: str,
        members: dict[str, tuple[History, RunFolder]],
        axis: Axis,
        *,
        group: bool,
    ) -> dict[str, Any]:
        seeds = one_of_each_seed(
            members.values(), lambda run: run[1].description.seed, lambda run: run[0].env_steps
        )
        history, folder = seeds[0]
        settings = folder.description.settings
        if group:
            label = f"{label} ({counted(len(seeds), 'seed')})"
        if len(seeds) > 1:
            drawn, newest = band_traces([(h, f.description.settings) for h, f in seeds], axis)
            marks, count = [], 0
        else:
            drawn, newest = traces(history, settings, axis)
            marks, count = refreshes(history, settings, axis)
        learning = settings.learning
        return {
            "label": label,
            "runs": list(members),
            "traces": drawn,
            "latest": newest,
            "refreshes": marks,
            "num_refreshes": count,
            "target_period_updates": learning.target_period_updates
            if settings.has_target_network
            else None,
            "tau": learning.tau,
            "clock": settings.clock,
            "value_unit": settings.value_unit,
            "threshold": reward_threshold(folder.description.env_id),
            "max_gradient_norm": learning.max_gradient_norm,
            "replay_capacity": settings.replay.replay_capacity,
            "replay_sampling": settings.replay.replay_sampling,
        }


def _check_number(run_ids: tuple[str, ...]) -> None:
    if len(run_ids) > MAX_SELECTED:
        raise SettingError(f"at most {MAX_SELECTED} runs are shown together")
