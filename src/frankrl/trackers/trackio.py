"""Trackio: a local database, or what TRACKIO_SPACE_ID or TRACKIO_SERVER_URL names."""

import os
from collections.abc import Mapping
from pathlib import Path

import trackio  # pyright: ignore[reportMissingImports]
from trackio.sqlite_storage import SQLiteStorage  # pyright: ignore[reportMissingImports]

from frankrl.trackers.protocol import FILM, TrackedRun, Tracker
from frankrl.trackers.texts import plain

_ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
_PROJECT = "TRACKIO_PROJECT"


class Trackio(Tracker):
    """Logs to a run of Trackio, which a resume continues by its project and name."""

    def __init__(self, run: TrackedRun) -> None:
        project = run.kept.get("project") or os.environ.get(_PROJECT) or run.project
        before = run.kept.get("name")
        self._run = trackio.init(
            project=project,
            name=before or run.name,
            config=plain(run.settings),
            resume="allow" if before else "never",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
        self.kept = {"project": project, "name": self._run.name}

    def logged(self) -> Mapping[str, int] | None:
        """See `Tracker.logged`."""
        if any(os.environ.get(name) for name in _ELSEWHERE):
            return None
        found: dict[str, int] = {}
        for row in SQLiteStorage.get_logs(self._run.project, self._run.name, run_id=self._run.id):
            for name in row:
                found[name] = max(row["step"], found.get(name, 0))
        return found

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """See `Tracker.log`."""
        self._run.log(dict(values), step=env_steps)

    def film(self, env_steps: int, file: Path) -> None:
        """See `Tracker.film`."""
        self._run.log({FILM: trackio.Video(str(file))}, step=env_steps)

    def close(self) -> None:
        """See `Tracker.close`."""
        self._run.finish()


def open_tracker(run: TrackedRun) -> Trackio:
    """Trackio for a run; the project is TRACKIO_PROJECT, or the environment's name."""
    return Trackio(run)
