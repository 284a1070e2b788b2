"""The trackers of a run in progress."""

import re
from collections.abc import Callable, Iterable, Mapping

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

    def __init__(self, run: RunFolder, earlier_rows: Callable[[], Iterable[Row]]) -> None:
        """Begin to open the trackers that a run names, each in a thread of its own.

        Args:
            run: the run's folder.
            earlier_rows: reads the rows of a run that continues, from its first one to where it
                continues.
        """
        names = dict.fromkeys(run.description.settings.saving.log)
        self._all = [
            BackgroundTracker(name, lambda name=name: opened(name, run), earlier_rows)
            for name in names
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


def opened(name: str, run: RunFolder) -> tuple[Tracker, Notes]:
    """A tracker of a run, opened, and the notes about it."""
    folder, description = run.trackers / name, run.description
    notes = Notes(run.trackers / f"{name}.json")
    if folder.is_symlink():
        raise RunFolderError(f"{folder} is a link; everything of a run lies in its folder")
    project = _UNFIT.sub("-", description.env_id).strip("-.")[:_MAX_PROJECT]
    named = {name: getattr(description, name) for name in ("env_id", "preset", "seed")}
    settings = named | description.settings.values()
    tracker = opener_of(name)(
        TrackedRun(run.path, folder, run.path.name, project, settings, notes.kept)
    )
    if notes.kept != dict(tracker.kept):
        notes.keep(tracker.kept)
    return tracker, notes
