"""The trackers of a run in progress."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from frankrl.core.errors import RunFolderError, warn
from frankrl.runs import RunFolder
from frankrl.trackers.background import BackgroundTracker, Row
from frankrl.trackers.names import opener_of
from frankrl.trackers.notes import Notes
from frankrl.trackers.protocol import TrackedRun, Tracker

_MAX_PROJECT = 100
_UNFIT = re.compile(r"[^\w.-]+")
"""Characters that a project's name has in no tracker."""


class Trackers:
    """Gives the numbers of a run to its trackers; what goes wrong there is a warning."""

    def __init__(
        self,
        names: Iterable[str],
        run: RunFolder,
        settings: Mapping[str, Any],
        earlier_rows: Callable[[], Iterable[Row]],
    ) -> None:
        """Begin to open the trackers, each in a thread of its own.

        Args:
            names: names of trackers, as `check_trackers` allows them.
            run: the run folder.
            settings: environment (`env_id`), preset, seed and every setting, by short names.
            earlier_rows: reads the rows of a run that continues, from its first one to where it
                continues.
        """
        self._all = [
            BackgroundTracker(name, lambda name=name: _opened(name, run, settings), earlier_rows)
            for name in dict.fromkeys(names)
        ]

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Have numbers logged by and by; never waits.

        Args:
            env_steps: env steps of the run so far.
            values: each number by its name; there may be none.
        """
        for tracker in self._all:
            if values:
                tracker.log(env_steps, values)
            for problem in tracker.problems():
                warn(problem)

    def close(self) -> None:
        """Wait until everything is logged, but not forever."""
        for tracker in self._all:
            for problem in tracker.close():
                warn(problem)


def _opened(name: str, run: RunFolder, settings: Mapping[str, Any]) -> tuple[Tracker, Notes]:
    place = run.trackers
    notes = Notes(place / f"{name}.json")
    if (folder := place / name).is_symlink():
        raise RunFolderError(f"{folder} is a link; everything of a run lies in its folder")
    project = _UNFIT.sub("-", str(settings["env_id"])).strip("-.")[:_MAX_PROJECT]
    told = TrackedRun(run.path, folder, run.path.name, project, settings, notes.kept)
    tracker = opener_of(name)(told)
    if notes.kept != dict(tracker.kept):
        notes.keep(tracker.kept)
    return tracker, notes
