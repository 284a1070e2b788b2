"""Two writers of one published run, interleaved step by step, where files appear before their end.

The storage creates a file exclusively and then writes it, as a folder without hard links. Each of
its steps may be the one at which a writer is frozen and another one goes on. After every step the
history is read as by somebody else. So what holds then also holds if a writer is killed there.
"""

import functools
import os
import random
import threading
from itertools import combinations

import pytest
from long_forms import some_of

from frankrl.config.presets import load_preset
from frankrl.core.errors import SupersededError
from frankrl.runs import RunDescription
from frankrl.runs.publishing import log as logs
from frankrl.runs.publishing import ownership, records
from frankrl.runs.publishing.log import Log
from frankrl.runs.publishing.ownership import Ownership
from frankrl.runs.publishing.records import CHECKPOINT, FINISHED, Owner, saved_content
from frankrl.runs.publishing.storage import Storage

RUN = RunDescription("CartPole-v1", "default", 0, load_preset("default").resolved())
LONGEST = 34
"""More steps than one writer takes if nobody disturbs it."""


class Steps:
    """Lets one of several threads go on at a time, and says at each step which one is next."""

    def __init__(self, switches):
        """Begin with the first thread.

        Args:
            switches: at which steps the next thread goes on.
        """
        self.switches, self.count, self.turn = set(switches), 0, 0
        self.running, self.changed = [], threading.Condition()
        self.after_each, self.is_looking = lambda: None, False

    def step(self):
        """One step is about to be done; returns when it is this thread's turn."""
        me = threading.current_thread()
        if self.is_looking or me not in self.running:
            return
        with self.changed:
            if self.count in self.switches:
                self.turn += 1
                self.changed.notify_all()
            self.count += 1
            self.changed.wait_for(lambda: self._whose() is me)
        self.is_looking = True
        try:
            self.after_each()
        finally:
            self.is_looking = False

    def run(self, *programs):
        """Run all programs to their ends."""
        failures = []

        def whole(program):
            try:
                with self.changed:
                    self.changed.wait_for(lambda: self._whose() is threading.current_thread())
                program()
            except BaseException as failure:
                failures.append(failure)
            finally:
                with self.changed:
                    self.running.remove(threading.current_thread())
                    self.changed.notify_all()

        self.running = [threading.Thread(target=whole, args=(one,)) for one in programs]
        threads = list(self.running)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _whose(self):
        return self.running[self.turn % len(self.running)]


class Table:
    """The files that all writers see."""

    def __init__(self, steps):
        self.steps, self.files = steps, {}


class InPlace(Storage):
    """One writer's view of the files; it creates them by one step, or by three."""

    def __init__(self, table, is_whole=False):
        self.address, self._table, self._is_whole = "shared", table, is_whole

    def read(self, name, most_bytes):
        self._table.steps.step()
        return self._table.files.get(name)

    def names(self, folder):
        self._table.steps.step()
        names = [name.partition("/")[2] for name in self._table.files if name.startswith(folder)]
        return sorted(names)

    def create(self, name, content):
        self._table.steps.step()
        if name in self._table.files:
            return False
        # All but the last byte is JSON, too.
        for piece in () if self._is_whole else (b"", content[:-1]):
            self._table.files[name] = piece
            self._table.steps.step()
        self._table.files[name] = content
        return True

    def put(self, name, content):
        raise NotImplementedError

    put_file = delete = _opened = put


@pytest.fixture(autouse=True)
def _on_one_cpu():
    """Threads that take turns wake each other four times as fast as on two CPUs."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No record is decoded twice, and nobody sleeps."""
    owner = Owner("host", 1, "cpu", {})
    monkeypatch.setattr(Owner, "this_process", classmethod(lambda cls: owner))
    monkeypatch.setattr(RunDescription, "to_toml", lambda self: "")
    monkeypatch.setattr(RunDescription, "from_toml", classmethod(lambda cls, text: RUN))
    monkeypatch.setattr(logs, "decoded", functools.lru_cache(4_096)(records.decoded))
    monkeypatch.setattr(ownership.time, "sleep", lambda seconds: None)


def claimed(storage):
    log = Log(storage)
    return Ownership.claimed(log, *log.head(), RUN, 30.0)


class Check:
    """What was accepted, and what must hold of the history at any moment."""

    def __init__(self, table):
        self.table, self.accepted, self.newest = table, [], 0
        self.held = None

    def accept(self, record):
        """A writer was told that its record is in the history."""
        late = record.fence < self.newest < record.number
        assert not late, "a writer was accepted after it was superseded"
        self.newest = max(self.newest, record.fence)
        self.accepted.append(record)

    def holds(self):
        """There is one history, and all that was accepted is in it; most steps only read."""
        if self.held == (state := (len(self.accepted), dict(self.table.files))):
            return
        self.held = state
        found = [*Log(InPlace(self.table)).history()][::-1]
        numbers = {record.number for record in found}
        missing = [record.number for record in self.accepted if record.number not in numbers]
        assert not missing, f"accepted, and missing: {missing}"
        fence = 0
        for record in found:
            assert record.number == record.fence > fence or record.fence == fence
            fence = record.fence


def interleaved(switches, owner_is_whole, taker_is_whole):
    """The run's owner and another process that takes it over."""
    steps = Steps(switches)
    table = Table(steps)
    check = Check(table)
    owner = claimed(InPlace(table, owner_is_whole))
    check.accept(owner.claim)
    told = []

    def keeps():
        try:
            for kind in (CHECKPOINT, FINISHED):
                check.accept(owner.append(kind, saved_content(10, {}, None)))
        except SupersededError:
            told.append(owner)

    def takes():
        if (taker := claimed(InPlace(table, taker_is_whole))) is not None:
            check.accept(taker.claim)
            check.accept(taker.append(CHECKPOINT, saved_content(20, {}, None)))

    steps.after_each = check.holds
    steps.run(keeps, takes)
    check.holds()
    if check.newest != owner.fence and not told:
        # It had written everything before; a later look tells it.
        with pytest.raises(SupersededError):
            owner.check()
    third = claimed(InPlace(table))
    check.accept(third.claim)
    check.accept(third.append(CHECKPOINT, saved_content(30, {}, None)))
    check.holds()


KINDS = [(False, False), (False, True), (True, False)]
"""Whether the owner's files appear as a whole, and those of the process that takes over."""


FROZEN = {
    f"{name}, {beginner} begins": (kinds, begins)
    for name, kinds in zip(["parts", "parts-whole", "whole-parts"], KINDS, strict=True)
    for beginner, begins in (("owner", ()), ("taker", (0,)))
}
SOME = ("parts, owner begins", "parts-whole, taker begins", "whole-parts, owner begins")


@pytest.mark.parametrize("case", some_of(FROZEN, SOME))
def test_at_whatever_step_writers_are_frozen_there_is_one_history(case):
    """Every way to freeze each of them once."""
    kinds, begins = FROZEN[case]
    for switches in combinations(range(1, LONGEST), 2):
        interleaved([*begins, *switches], *kinds)


@pytest.mark.parametrize("kinds", KINDS, ids=["parts", "parts-whole", "whole-parts"])
def test_however_writers_are_interleaved_there_is_one_history(kinds):
    for seed in range(200):
        draw = random.Random(seed)
        often = draw.choice([0.1, 0.3, 0.6])
        interleaved([step for step in range(200) if draw.random() < often], *kinds)


@pytest.mark.slow
@pytest.mark.parametrize("begins", [(), (0,)], ids=["owner-begins", "taker-begins"])
def test_every_way_to_freeze_writers_three_times_leaves_one_history(begins):
    for switches in combinations(range(1, LONGEST), 3):
        interleaved([*begins, *switches], False, False)
