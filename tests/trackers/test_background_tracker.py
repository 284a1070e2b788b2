"""A tracker in its thread: what it gets, and what becomes of its failures."""

import json
import threading

import pytest
from hanging import HANGS_AFTER_SECONDS

from frankrl.core.errors import DamagedError
from frankrl.trackers import Tracker, background
from frankrl.trackers.background import BackgroundTracker
from frankrl.trackers.notes import Notes


class Fake(Tracker):
    """Remembers what it was told, and fails where it is told to."""

    def __init__(self, fails="", holds=None):
        self.fails, self.holds, self.told, self.closed = fails, holds, [], False
        self.released = threading.Event()
        self.entered = threading.Event()

    def logged(self):
        if self.fails == "logged":
            raise RuntimeError("who knows")
        return self.holds

    def log(self, env_steps, values):
        self.entered.set()
        if self.fails == "hang":
            self.released.wait()
        if self.fails == "exit":
            raise SystemExit(3)
        if self.fails == "first" and not self.told:
            self.fails = ""
            raise OSError("no network\nat all")
        self.told.append((env_steps, dict(values)))

    def close(self):
        if self.fails == "close":
            raise ValueError("no end")
        self.closed = True


@pytest.fixture
def notes_file(tmp_path):
    return tmp_path / "trackers" / "fake.json"


def begun(tracker, file, earlier=()):
    return BackgroundTracker("fake", lambda: (tracker, Notes(file)), lambda: earlier)


def ended(running):
    """Wait for the end of its thread."""
    running._thread.join(HANGS_AFTER_SECONDS)
    assert not running._thread.is_alive()


def fed(tracker, file, rows):
    running = begun(tracker, file)
    for env_steps, values in rows:
        running.log(env_steps, values)
    return running.close()


def test_a_tracker_gets_every_row_in_order_and_is_closed(notes_file):
    rows = [(step, {"a": float(step)}) for step in range(500)]
    tracker = Fake()
    assert fed(tracker, notes_file, rows) == []
    assert tracker.told == rows
    assert tracker.closed


def test_what_the_notes_say_was_logged_is_not_logged_again_but_what_is_new_is(notes_file):
    fed(Fake(), notes_file, [(10, {"a": 1.0}), (20, {"a": 2.0})])
    second = Fake()
    fed(second, notes_file, [(10, {"a": 1.0}), (20, {"a": 2.0, "b": 5.0}), (30, {"a": 3.0})])
    assert second.told == [(20, {"b": 5.0}), (30, {"a": 3.0})]


def test_what_a_tracker_lacks_of_the_rows_before_is_logged_first(notes_file):
    tracker = Fake(holds={"a": 10})
    earlier = [(10, {"a": 1.0, "b": 1.0}), (20, {"a": 2.0})]
    running = begun(tracker, notes_file, earlier)
    running.log(30, {"a": 3.0})
    assert running.close() == []
    assert tracker.told == [(10, {"b": 1.0}), (20, {"a": 2.0}), (30, {"a": 3.0})]


def test_rows_before_that_cannot_be_read_are_told_and_the_tracker_is_closed(notes_file):
    tracker = Fake()

    def unreadable():
        raise OSError("no disk")
        yield

    running = BackgroundTracker("fake", lambda: (tracker, Notes(notes_file)), unreadable)
    (found,) = running.close()
    assert found == "the tracker fake gets nothing more: OSError: no disk; the run goes on"
    assert tracker.closed


def test_a_row_that_was_being_logged_at_a_kill_counts_as_logged(notes_file):
    # The tracker is told of env step 20 and never says whether it took it.
    killed = Fake("hang")
    running = begun(killed, notes_file)
    running.log(20, {"a": 2.0})
    assert killed.entered.wait(HANGS_AFTER_SECONDS)
    after = Fake()
    fed(after, notes_file, [(20, {"a": 2.0}), (30, {"a": 3.0})])
    assert after.told == [(30, {"a": 3.0})]
    killed.released.set()
    running.close()


def test_a_tracker_that_can_say_what_it_holds_is_believed_and_not_the_notes(notes_file):
    notes = Notes(notes_file)
    notes.will_log(["a", "b"], 30)
    tracker = Fake(holds={"a": 20})
    fed(tracker, notes_file, [(20, {"a": 1.0}), (30, {"a": 2.0, "b": 3.0})])
    assert tracker.told == [(30, {"a": 2.0, "b": 3.0})]


def test_one_row_that_fails_is_told_at_once_and_the_others_are_logged(notes_file):
    tracker = Fake("first")
    found = fed(tracker, notes_file, [(10, {"a": 1.0}), (20, {"a": 2.0})])
    assert tracker.told == [(20, {"a": 2.0})]
    assert found == [
        "the tracker fake could not log env step 10: OSError: no network at all; the run goes on",
        "the tracker fake may lack 1 row of this run",
    ]


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("logged", "gets nothing more: RuntimeError: who knows"),
        ("exit", "could not log env step 10: SystemExit: 3"),
        ("close", "could not be closed: ValueError: no end"),
    ],
)
def test_whatever_a_tracker_raises_is_a_sentence(notes_file, fails, words):
    found = fed(Fake(fails), notes_file, [(10, {"a": 1.0})])
    assert words in found[0]


def test_a_tracker_that_cannot_be_opened_gets_nothing_and_says_so_once(notes_file):
    def fail():
        raise ConnectionError("no server")

    running = BackgroundTracker("fake", fail, list)
    ended(running)
    running.log(10, {"a": 1.0})
    assert running.problems() == [
        "the tracker fake cannot be opened, so nothing is logged there: ConnectionError: no server;"
        " the run goes on"
    ]
    assert running.close() == []


def test_the_end_of_a_run_does_not_wait_forever_for_a_tracker_that_hangs(notes_file, monkeypatch):
    monkeypatch.setattr(background, "_TO_CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(background, "_MAX_ROWS", 3)
    tracker = Fake("hang")
    running = begun(tracker, notes_file)
    running.log(0, {"a": 0.0})
    assert tracker.entered.wait(HANGS_AFTER_SECONDS)
    # Three rows wait; two find no room, and one makes room for the end.
    for step in range(1, 6):
        running.log(step, {"a": float(step)})
    found = running.close()
    assert "did not finish within 0.05 seconds" in found[0]
    assert found[1] == "the tracker fake may lack 3 rows of this run"
    # Once it goes on, it logs no more for a run that has ended.
    tracker.released.set()
    ended(running)
    assert tracker.told == [(0, {"a": 0.0})]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kept": {"id": 3}, "logged": {}}', '{"kept": {}, "logged": 1}']
)
def test_damaged_notes_are_refused_and_say_what_to_do(notes_file, content):
    notes_file.parent.mkdir()
    notes_file.write_text(content)
    with pytest.raises(DamagedError, match="remove the file to begin a new run in the tracker"):
        Notes(notes_file)


def test_notes_that_are_a_link_are_not_followed(notes_file, tmp_path):
    notes_file.parent.mkdir()
    (tmp_path / "elsewhere").write_text('{"kept": {}, "logged": {}}')
    notes_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamagedError):
        Notes(notes_file)


def test_notes_that_somebody_else_wrote_name_no_run_of_the_users(notes_file):
    mine = Notes(notes_file)
    mine.keep({"id": "7"})
    mine.will_log(["a"], 30)
    assert (Notes(notes_file).kept, Notes(notes_file).logged) == ({"id": "7"}, {"a": 30})
    changed = json.loads(notes_file.read_text())
    changed["kept"]["id"] = "a run of the user's"
    notes_file.write_text(json.dumps(changed))
    assert (Notes(notes_file).kept, Notes(notes_file).logged) == ({}, {})
    moved = notes_file.with_name("other.json")
    mine.keep({"id": "7"})
    notes_file.rename(moved)
    assert Notes(moved).kept == {}
