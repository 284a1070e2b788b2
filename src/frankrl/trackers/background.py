"""A tracker in a thread of its own: training never waits for it."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from frankrl.core.figures import counted
from frankrl.core.text import shown
from frankrl.trackers.notes import Notes
from frankrl.trackers.protocol import Tracker

_MAX_ROWS = 1_000
"""Rows that wait for a tracker; while so many do, further ones are left out."""
_MAX_REASON = 300
"""Characters of an error that are shown."""
_TO_CLOSE_SECONDS = 60.0
"""How long the end of a run waits for a tracker."""


Row = tuple[int, Mapping[str, float]]
"""Env steps of a run, and each number by its name."""


class BackgroundTracker:
    """Opens, feeds and closes a tracker in a daemon thread."""

    def __init__(
        self,
        name: str,
        open_tracker: Callable[[], tuple[Tracker, Notes]],
        earlier_rows: Callable[[], Iterable[Row]],
    ) -> None:
        """Start the thread.

        Args:
            name: the tracker's name, for messages.
            open_tracker: reads the notes about it and opens it; called in the thread.
            earlier_rows: reads the run's rows up to now, from the first one on; called there, too.
        """
        self._name = name
        self._open = open_tracker
        self._earlier_rows = earlier_rows
        self._rows: queue.Queue[Row | None] = queue.Queue(_MAX_ROWS)
        self._problems: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._left_out = self._failed = 0
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def log(self, env_steps: int, values: Mapping[str, float]) -> None:
        """Have numbers logged by and by; never waits."""
        if not self._thread.is_alive():
            return
        try:
            self._rows.put_nowait((env_steps, values))
        except queue.Full:
            self._left_out += 1

    def problems(self) -> list[str]:
        """What went wrong since the last call, one sentence each."""
        found = []
        while not self._problems.empty():
            found.append(self._problems.get_nowait())
        return found

    def close(self) -> list[str]:
        """Wait until everything is logged, but not forever.

        Returns:
            What went wrong, one sentence each.
        """
        if self._thread.is_alive():
            self._end_rows()
            self._thread.join(_TO_CLOSE_SECONDS)
        found = self.problems()
        if self._thread.is_alive():
            self._is_abandoned = True
            found.append(
                f"the tracker {self._name} did not finish within {_TO_CLOSE_SECONDS:g} seconds; "
                "what it has not logged by now may be missing there"
            )
        if lost := self._left_out + self._failed:
            found.append(f"the tracker {self._name} may lack {counted(lost, 'row')} of this run")
        return found

    def _end_rows(self) -> None:
        """Tell the thread that no more rows come; makes room if too many wait."""
        while True:
            try:
                return self._rows.put_nowait(None)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._rows.get_nowait()
                    self._left_out += 1

    def _work(self) -> None:
        # A library may also raise SystemExit; in this thread nothing else can.
        try:
            tracker, notes = self._open()
        except BaseException as error:
            self._tell("cannot be opened, so nothing is logged there", error)
            return
        try:
            self._log_rows(tracker, notes, tracker.logged())
        except BaseException as error:
            self._tell("gets nothing more", error)
        try:
            tracker.close()
        except BaseException as error:
            self._tell("could not be closed", error)

    def _log_rows(self, tracker: Tracker, notes: Notes, held: Mapping[str, int] | None) -> None:
        """Log rows until there are no more, without what the tracker holds already.

        So what a killed process had not logged yet is logged now, and a tracker that is named in
        the middle of a run gets all of it.

        Args:
            tracker: the tracker.
            notes: the notes about it.
            held: the last env step that it holds of each name; None: the notes say it.
        """
        before = dict(notes.logged if held is None else held)
        for env_steps, values in self._all_rows():
            if self._is_abandoned:
                return
            new = {name: values[name] for name in values if env_steps > before.get(name, -1)}
            if not new:
                continue
            try:
                if held is None:
                    notes.will_log(new, env_steps)
                tracker.log(env_steps, new)
            except BaseException as error:
                if not self._failed:
                    self._tell(f"could not log env step {env_steps:,}", error)
                self._failed += 1

    def _all_rows(self) -> Iterator[Row]:
        yield from self._earlier_rows()
        while (row := self._rows.get()) is not None:
            yield row

    def _tell(self, what: str, error: BaseException) -> None:
        reason = shown(" ".join(str(error).split()), _MAX_REASON)
        self._problems.put(
            f"the tracker {self._name} {what}: {type(error).__name__}: {reason}; the run goes on"
        )
