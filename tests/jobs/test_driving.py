"""One process at a time drives the runs of a folder, also where there are no locks."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import pytest

from frankrl.config.presets import load_preset
from frankrl.core.errors import FrankWarning, RunFolderError, SupersededError
from frankrl.jobs import Ended, Job, do_missing, missing
from frankrl.jobs.driving import driven
from frankrl.runs.claims import Claims, Owner
from frankrl.runs.publishing import open_storage

_DRIVE = """
import sys
from pathlib import Path
from frankrl.jobs.driving import driven
with driven(Path(sys.argv[1])):
    print("drives", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["links", "no links"])
def folder(request, tmp_path, monkeypatch):
    """A folder of a file system without locks, and perhaps without hard links."""

    def refused(*arguments, **named):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refused)
    if request.param == "no links":
        monkeypatch.setattr("os.link", refused)
    return tmp_path / "out"


class _Clock:
    """A clock that goes on while one sleeps."""

    def __init__(self, on_sleep=lambda: None):
        self.now, self._on_sleep = 0.0, on_sleep

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self._on_sleep()


@contextlib.contextmanager
def other_process(folder):
    """Another process that drives the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _DRIVE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"drives\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def by_another_machine(folder):
    """Let the folder be claimed by a process of another machine, which does not renew."""
    (folder / ".driver").mkdir(parents=True)
    claim = {"host": "far", "pid": 7, "machine": "far 1", "ticks": 3, "token": "x"}
    (folder / ".driver" / "000004.json").write_text(json.dumps(claim))
    beat(folder, 1)


def beat(folder, renewals, *, is_over=False):
    text = json.dumps({"renewals": renewals, "is_over": is_over})
    (folder / ".driver" / "000004.beat").write_text(text)


def test_two_at_once_are_refused_and_one_after_the_other_are_not(folder):
    with (
        driven(folder),
        pytest.raises(RunFolderError, match=f"written by process {os.getpid()} on"),
    ):
        driven(folder).__enter__()
    with driven(folder):
        pass
    # Nothing but the newest claim is kept.
    assert len(list((folder / ".driver").iterdir())) == 2


def test_a_killed_process_is_passed_over_at_once(folder, monkeypatch):
    clock = _Clock()
    with other_process(folder) as process:
        with pytest.raises(RunFolderError, match=f"written by process {process.pid} on"):
            driven(folder, clock=clock, sleep=clock.sleep).__enter__()
        process.send_signal(signal.SIGKILL)
        # Its parent has not asked for its status, so its number is still in use.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with driven(folder, clock=clock, sleep=clock.sleep):
            pass
    assert clock.now == 0


def test_a_number_that_another_process_has_got_is_no_owner(folder):
    with driven(folder):
        pass
    (path,) = (folder / ".driver").glob("*.json")
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(plain | {"ticks": plain["ticks"] - 1}))
    path.with_suffix(".beat").unlink()
    with driven(folder):
        pass


def test_another_machine_has_half_a_minute(folder):
    by_another_machine(folder)
    clock = _Clock()
    with (
        pytest.warns(FrankWarning, match="last driven by process 7 on far: looking for 30 s"),
        driven(folder, clock=clock, sleep=clock.sleep),
    ):
        assert clock.now == 30


def test_another_machine_that_renews_is_left_alone(folder):
    by_another_machine(folder)
    clock = _Clock(lambda: beat(folder, 2))
    with (
        pytest.warns(FrankWarning),
        pytest.raises(RunFolderError, match="written by process 7 on far"),
    ):
        driven(folder, clock=clock, sleep=clock.sleep).__enter__()
    assert clock.now == 1


def test_another_machine_that_gives_up_is_passed_over(folder):
    by_another_machine(folder)
    beat(folder, 9, is_over=True)
    with driven(folder):
        pass


def test_a_driver_that_was_passed_over_ends(folder):
    with driven(folder) as driver:
        driver.check()
        claims = Claims(open_storage(folder))
        far = Owner("far", 7, "far 1", 3)
        assert claims.make(claims.newest() + 1, far)
        with pytest.raises(SupersededError, match="taken over by process 7 on far"):
            driver.check()
    assert claims.beat(claims.newest()) == (0, False)


def test_a_claim_that_is_completed_late_does_not_hold(folder, monkeypatch):
    """Without links a file is created and then written; here another claim is made in between."""
    claims = Claims(open_storage(folder))
    ours, theirs = Owner("a", 1, "a", 1), Owner("b", 2, "b", 2)
    create = claims._storage.create

    def slow(name, content):
        made = create(name, content)
        monkeypatch.setattr(claims._storage, "create", create)
        assert claims.make(2, theirs)
        return made

    monkeypatch.setattr(claims._storage, "create", slow)
    assert not claims.make(1, ours)
    assert (claims.newest(), claims.owner(2)) == (2, theirs)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b'{"pid": "x"}', b'{"ticks": 1e999}'])
def test_odd_claims_are_no_traceback(folder, content):
    by_another_machine(folder)
    (folder / ".driver" / "000004.json").write_bytes(content)
    (folder / ".driver" / "000004.beat").write_bytes(content)
    clock = _Clock()
    with (
        pytest.warns(FrankWarning, match="a process that is not known"),
        driven(folder, clock=clock, sleep=clock.sleep),
    ):
        pass


def test_more_claims_than_anybody_makes_are_damage(folder):
    by_another_machine(folder)
    beat(folder, 1, is_over=True)
    for ending in ("json", "beat"):
        there = folder / ".driver" / f"000004.{ending}"
        there.rename(there.with_name(f"999999.{ending}"))
    with pytest.raises(RunFolderError, match="is damaged: it holds claim 999,999"):
        driven(folder).__enter__()


class _Engine:
    """Does jobs by writing their report."""

    slots = 1

    def __init__(self):
        self.done, self.is_closed = [], False
        self._begun = []

    def begin(self, job):
        self._begun.append(job)

    def ended(self, seconds):
        begun, self._begun = self._begun, []
        self.done += begun
        return [Ended(job, is_done=True) for job in begun]

    def stop(self):
        pass

    def close(self):
        self.is_closed = True


def jobs_of(folder):
    settings = load_preset("CartPole-v1").resolved()
    return [
        Job("CartPole-v1", "CartPole-v1", settings, seed, folder / f"s{seed}") for seed in (0, 1)
    ]


def test_missing_jobs_are_done_once_and_all_are_reported(folder, monkeypatch):
    jobs, engine, reported = jobs_of(folder), _Engine(), []
    monkeypatch.setattr(missing, "is_done_as", lambda job: job == jobs[0] or job in engine.done)
    assert do_missing(jobs, folder, lambda: engine, reported.append)
    assert (engine.done, engine.is_closed, reported) == (jobs[1:], True, jobs)
    # Nothing is left to do, so nothing is connected and no folder is written.
    with driven(folder):
        assert do_missing(jobs, folder, _no_engine, reported.append)
    assert reported == [*jobs, *jobs]


def test_missing_jobs_of_a_folder_that_another_process_drives_are_refused(folder):
    jobs, engine = jobs_of(folder), _Engine()
    with (
        driven(folder),
        pytest.raises(RunFolderError, match="are being written by process"),
    ):
        do_missing(jobs, folder, lambda: engine, lambda job: None)
    assert (engine.done, engine.is_closed) == ([], True)


def _no_engine():
    raise AssertionError("there is nothing to do")
