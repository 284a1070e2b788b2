"""The history of a published run: one, whatever its writers do and whenever they do it."""

import dataclasses
import json
import random
import threading
import time

import pytest
from hanging import HANGS_AFTER_SECONDS
from runs.storages import storage_of

from frankrl.config.presets import load_preset
from frankrl.core.errors import DamagedError, FrankWarning, StorageError, SupersededError
from frankrl.runs import RunDescription
from frankrl.runs.publishing import published_status, restore_newest
from frankrl.runs.publishing.lease import (
    CLOCKS_DIFFER_SECONDS,
    LeaseKeeper,
    LeaseWatch,
    lease_of,
    remove_leases,
)
from frankrl.runs.publishing.log import Log, name_of
from frankrl.runs.publishing.ownership import Ownership
from frankrl.runs.publishing.records import (
    CHECKPOINT,
    FINISHED,
    Claim,
    File,
    Saved,
    encoded,
    saved_content,
)

RUN = RunDescription("CartPole-v1", "default", 0, load_preset("default").resolved())
SHA = "0123456789abcdef" * 4
FILES = {"config.toml": File(f"000001/{SHA}", 3, SHA)}


NOW = 1_700_000_000.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """The time of day stands still."""
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture(params=["folder", "no-links", "memory"])
def storage(request, tmp_path, monkeypatch):
    return storage_of(request.param, tmp_path, monkeypatch)


def claimed(storage, lease_seconds=30.0):
    log = Log(storage)
    return Ownership.claimed(log, *log.head(), RUN, lease_seconds)


def checkpoint(env_steps):
    return saved_content(env_steps, FILES, None)


def history(storage):
    """Kind, fencing number and env steps of every record, the oldest first."""
    records = [*Log(storage).history()]
    return [(r.kind, r.fence, getattr(r, "env_steps", None)) for r in reversed(records)]


def test_records_come_back_as_they_were_written(storage):
    owner = claimed(storage, 7.5)
    owner.append(CHECKPOINT, checkpoint(100))
    owner.append(FINISHED, saved_content(200, FILES, {"seconds": 1.5}))
    end, saved, claim = Log(storage).history()
    assert isinstance(claim, Claim)
    assert isinstance(saved, Saved)
    assert (claim.number, claim.fence, claim.lease_seconds) == (1, 1, 7.5)
    assert claim.description == RUN
    assert claim.owner == owner.claim.owner
    assert (saved.number, saved.kind, saved.env_steps, saved.files) == (2, CHECKPOINT, 100, FILES)
    assert isinstance(end, Saved)
    assert (end.kind, end.env_steps, end.report) == (FINISHED, 200, {"seconds": 1.5})
    assert Log(storage).newest_saved() == end


def test_a_late_writer_is_refused_by_name_and_writes_nothing(storage):
    late = claimed(storage)
    late.append(CHECKPOINT, checkpoint(100))
    owner = claimed(storage)
    words = rf"taken over by process \d+ on .* number {owner.fence}, .*number {late.fence}\)"
    before = storage.names("log")
    for _ in range(2):
        with pytest.raises(SupersededError, match=words):
            late.append(CHECKPOINT, checkpoint(200))
        with pytest.raises(SupersededError, match=words):
            late.check()
    assert storage.names("log") == before
    owner.append(CHECKPOINT, checkpoint(150))
    assert history(storage) == [
        ("claim", 1, None),
        ("checkpoint", 1, 100),
        ("claim", 3, None),
        ("checkpoint", 3, 150),
    ]


def test_who_looked_before_the_other_wrote_claims_nothing(storage):
    owner = claimed(storage)
    log = Log(storage)
    seen = log.head()
    owner.append(CHECKPOINT, checkpoint(100))
    assert Ownership.claimed(log, *seen, RUN, 30.0) is None
    owner.append(CHECKPOINT, checkpoint(200))
    assert [kind for kind, *_ in history(storage)] == ["claim", "checkpoint", "checkpoint"]


def test_an_answer_that_was_lost_counts_once(storage, monkeypatch):
    owner, create = claimed(storage), storage.create
    monkeypatch.setattr(storage, "create", lambda *given: create(*given) and False)
    owner.append(CHECKPOINT, checkpoint(100))
    assert claimed(storage) is not None

    def lost(*given):
        create(*given)
        raise StorageError("the connection was lost")

    owner = claimed(storage)
    monkeypatch.setattr(storage, "create", lost)
    with pytest.raises(StorageError):
        owner.append(CHECKPOINT, checkpoint(200))
    monkeypatch.setattr(storage, "create", create)
    owner.append(CHECKPOINT, checkpoint(300))
    assert [steps for kind, _, steps in history(storage) if kind == "checkpoint"] == [100, 200, 300]


def test_a_part_of_a_record_is_passed_over_and_stays_so_when_it_is_completed(storage):
    owner = claimed(storage)
    owner.append(CHECKPOINT, checkpoint(100))
    whole = encoded("claim", 3, Log(storage).head()[0], {})
    storage.create(name_of(3), whole[:40])
    assert history(storage) == [("claim", 1, None), ("checkpoint", 1, 100)]
    owner.append(CHECKPOINT, checkpoint(200))
    # A process that was frozen while it wrote wakes up.
    storage.put(name_of(3), whole)
    assert history(storage) == [
        ("claim", 1, None),
        ("checkpoint", 1, 100),
        ("checkpoint", 1, 200),
    ]
    taken = claimed(storage)
    assert taken.fence == 6
    taken.append(CHECKPOINT, checkpoint(300))
    assert [steps for *_, steps in history(storage)][-1] == 300


def test_who_was_passed_over_while_it_claimed_is_no_owner(storage, monkeypatch):
    owner, create = claimed(storage), storage.create

    def slow(name, content):
        """The file is there with its beginning; the owner goes on; then it is completed."""
        assert create(name, content[:30])
        monkeypatch.setattr(storage, "create", create)
        owner.append(CHECKPOINT, checkpoint(100))
        storage.put(name, content)
        return True

    monkeypatch.setattr(storage, "create", slow)
    assert claimed(storage) is None
    assert history(storage) == [("claim", 1, None), ("checkpoint", 1, 100)]


def test_of_many_processes_at_random_there_is_one_history(storage):
    """Writers claim and append as they like: what each was told it wrote is what is there."""
    done, tried, lock = [], [], threading.Lock()

    def write(number):
        draw, owner = random.Random(number), None
        for step in range(12):
            try:
                if owner is None or draw.random() < 0.2:
                    owner = claimed(storage)
                    kept = owner and ("claim", owner.fence, None)
                else:
                    tried.append(("checkpoint", owner.fence, 1_000 * number + step))
                    saved = owner.append(CHECKPOINT, checkpoint(1_000 * number + step))
                    kept = ("checkpoint", saved.fence, saved.env_steps)
            except SupersededError:
                owner = kept = None
            if kept:
                with lock:
                    done.append(kept)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, fence = history(storage), 0
    # What is taken over before its writer has looked again was refused, and is there.
    assert set(done) <= set(found)
    assert {record for record in found if record[0] != "claim"} <= set(tried)
    for kind, by, _ in found:
        assert by > fence if kind == "claim" else by == fence
        fence = by


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "format 99"),
        ({"kind": "poem"}, "kind poem"),
        ({"fence": 2}, "kind checkpoint with fencing number 2"),
        ({"fence": -1}, "no count"),
        ({"fence": True}, "no count"),
        ({"after": [2, SHA]}, "follows a later record"),
        ({"after": [1, "../x"]}, "not as Frank writes it"),
        ({"time": "now"}, "no number of seconds"),
        ({"time": 10**400}, "too large"),
        ({"env_steps": 1.5}, "no count"),
        ({"report": []}, "report is no object"),
        ({"files": {"../../etc/passwd": FILES["config.toml"]._asdict()}}, "no run holds the file"),
        ({"files": {"/etc/passwd": FILES["config.toml"]._asdict()}}, "no run holds the file"),
        ({"files": {"videos/x.mp4": FILES["config.toml"]._asdict()}}, "no run holds the file"),
        ({"files": {"config.toml": {"blob": f"../{SHA}", "bytes": 1, "sha256": SHA}}}, "not as"),
        (
            {"files": {"config.toml": {"blob": f"000001/{SHA}", "bytes": 2**40, "sha256": SHA}}},
            "many",
        ),
        ({"files": {"config.toml": {"blob": f"000001/{SHA}", "bytes": 1}}}, "sha256"),
        ({"files": 3}, "damaged"),
    ],
)
def test_a_record_of_anybody_is_checked(change, words, tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    owner = claimed(storage)
    data = json.loads(encoded(CHECKPOINT, 1, owner.claim, checkpoint(100))) | change
    storage.create(name_of(2), json.dumps(data).encode() + b"\n")
    with pytest.raises(DamagedError, match=words):
        Log(storage).head()


def test_an_old_record_that_is_lost_ends_no_run(storage, tmp_path, monkeypatch):
    """The newest state is whole, so nobody needs it."""
    owner, tried = claimed(storage), []
    for env_steps in range(5):
        owner.append(CHECKPOINT, checkpoint(env_steps))
    storage.put(name_of(3), b"")

    def restored(log, saved, path):
        tried.append(saved.number)
        if saved.number == 6:
            raise DamagedError("a file is missing")

    monkeypatch.setattr("frankrl.runs.publishing.restore.restore", restored)
    with pytest.warns(FrankWarning, match="the state before it is used"):
        assert restore_newest(Log(storage), tmp_path / "run").number == 5
    assert tried == [6, 5]


def test_a_claim_that_would_hold_for_ever_is_refused(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    with pytest.raises(DamagedError, match="longer than 86400"):
        claimed(storage, 1e300)


def test_a_log_that_is_full_is_refused(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    storage.create(name_of(999_999), b"x")
    with pytest.raises(DamagedError, match=r"999999\.json is damaged.*remove the file"):
        claimed(storage)
    assert storage.names("log") == ["999999.json"]


def test_a_list_of_names_that_is_old_hides_nobody(storage, monkeypatch):
    """Some network file systems keep a list of names for a minute."""
    late = claimed(storage)
    names = storage.names("log")
    taken = claimed(storage)
    monkeypatch.setattr(storage, "names", lambda folder: names)
    for look in (late.check, lambda: late.append(CHECKPOINT, checkpoint(1))):
        with pytest.raises(SupersededError, match=f"with fencing number {taken.fence},"):
            look()


def test_only_leases_of_earlier_owners_are_removed(storage):
    """A lease that is being written has another name until it is whole."""
    kept = [".000001.json.0123", "000007.json", "000012.json", "x.json"]
    for name in (*kept, "000001.json", "000006.json"):
        storage.put(f"lease/{name}", b"{}")
    remove_leases(storage, 7)
    assert storage.names("lease") == sorted(kept)


def test_owners_are_read_from_claim_to_claim(storage, monkeypatch):
    """However many records each of them has written."""
    for steps in (10, 20, 30):
        owner = claimed(storage)
        for more in range(steps // 10):
            owner.append(CHECKPOINT, checkpoint(steps + more))
    read, names = storage.read, []
    monkeypatch.setattr(storage, "read", lambda name, most: names.append(name) or read(name, most))
    found = [(claim.fence, last.env_steps) for claim, last in Log(storage).owners()]
    assert found == [(6, 32), (3, 21), (1, 10)]
    assert name_of(4) not in names


def test_a_record_that_was_changed_afterwards_is_named(storage):
    owner = claimed(storage)
    owner.append(CHECKPOINT, checkpoint(100))
    owner.append(CHECKPOINT, checkpoint(200))
    content = storage.read(name_of(2), 10_000)
    storage.put(name_of(2), content.replace(b"100", b"101"))
    with pytest.raises(DamagedError, match=r"000002.json is damaged: record 3 follows"):
        [*Log(storage).history()]


def test_the_log_is_read_back_to_the_claim_even_if_records_between_are_gone(storage):
    owner = claimed(storage)
    owner.append(CHECKPOINT, checkpoint(100))
    storage.delete(name_of(1))
    status = Log(storage)
    with pytest.raises(DamagedError, match=r"000001.json is damaged: it is no claim"):
        status.claim_of(status.head()[0])


def lease_written(storage, claim, **change):
    data = {"counter": 1, "time": time.time(), "lease_seconds": claim.lease_seconds} | change
    storage.put(f"lease/{claim.fence:06d}.json", json.dumps(data).encode())


def test_a_lease_is_expired_once_it_was_watched_unchanged_for_its_length(storage):
    claim = claimed(storage, 10.0).claim
    watch = LeaseWatch(Log(storage))
    assert [watch.is_expired(claim, now) for now in (100.0, 105.0, 109.9)] == [False] * 3
    lease_written(storage, claim)
    assert [watch.is_expired(claim, now) for now in (110.0, 119.9, 120.0)] == [False, False, True]
    lease_written(storage, claim, counter=2)
    assert not watch.is_expired(claim, 121.0)


def test_a_lease_that_is_renewed_is_not_expired_whatever_its_time(storage):
    """Only at the first look a clock counts: this machine's may be the one that is wrong."""
    claim = claimed(storage, 10.0).claim
    watch = LeaseWatch(Log(storage))
    for counter in range(1, 6):
        lease_written(storage, claim, counter=counter, time=NOW - 1_000)
        # At the first look, nothing else is known.
        assert watch.is_expired(claim, 9.0 * counter) == (counter == 1)
    assert not watch.is_expired(claim, 54.9)
    assert watch.is_expired(claim, 55.0)
    # Another process that takes the run before one's eyes is alive, too.
    second = claimed(storage, 10.0).claim
    lease_written(storage, second, time=NOW - 1_000)
    assert not watch.is_expired(second, 56.0)


def test_by_its_time_alone_a_lease_is_expired_only_beyond_what_clocks_may_differ(storage):
    claim = claimed(storage, 10.0).claim
    ages = {
        5.0: "held",
        20.0: "unknown",
        10.0 + CLOCKS_DIFFER_SECONDS + 5: "expired",
        -500.0: "held",
    }
    for age, state in ages.items():
        lease_written(storage, claim, time=time.time() - age)
        assert lease_of(storage, claim).state() == state
        assert LeaseWatch(Log(storage)).is_expired(claim, 0.0) == (state == "expired")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b'{"counter": 1}', b'{"counter": "x"}', b"[" * 4_000),
        b'{"counter": Infinity, "time": 1, "lease_seconds": 1}',
        b'{"counter": 1, "time": 1, "lease_seconds": 1e300}',
    ],
)
def test_a_lease_that_is_none_counts_as_the_claim_itself(content, tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    claim = claimed(storage, 10.0).claim
    storage.put("lease/000001.json", content)
    assert lease_of(storage, claim)[:2] == (1, 0)
    lease_written(storage, claim, time=float("nan"))
    assert lease_of(storage, claim)[:2] == (1, 0)


def test_a_lease_is_renewed_until_it_is_given_up(storage, monkeypatch):
    owner, third = claimed(storage, 0.3), threading.Event()
    put, written = storage.put, []

    def counted(name, content):
        put(name, content)
        written.append(name)
        if len(written) == 3:
            third.set()

    monkeypatch.setattr(storage, "put", counted)
    keeper = LeaseKeeper(owner)
    assert third.wait(HANGS_AFTER_SECONDS)
    assert lease_of(storage, owner.claim).counter >= 3
    assert lease_of(storage, owner.claim).state() != "expired"
    keeper.stop(give_up=True)
    assert lease_of(storage, owner.claim).state() == "expired"
    assert claimed(storage).fence == 2


def test_who_renews_a_lease_sees_that_it_was_taken_over(storage):
    owner = claimed(storage, 0.3)
    keeper = LeaseKeeper(owner)
    taken = claimed(storage)
    keeper._thread.join(HANGS_AFTER_SECONDS)
    assert not keeper._thread.is_alive()
    before = storage.read(f"lease/{owner.fence:06d}.json", 1_000)
    keeper.stop(give_up=True)
    assert f"fencing number {taken.fence}" in str(keeper.superseded)
    assert storage.read(f"lease/{owner.fence:06d}.json", 1_000) == before


def test_the_status_tells_what_the_log_and_the_lease_say(storage):
    assert published_status(storage.address) is None
    owner = claimed(storage)
    first = published_status(storage.address)
    assert (first.fence, first.lease, first.env_steps, first.finished) == (1, "held", None, False)
    assert (first.host, first.pid, first.cpu) == owner.claim.owner[:3]
    saved = owner.append(CHECKPOINT, checkpoint(100))
    lease_written(storage, owner.claim, time=time.time() - 40)
    then = published_status(storage.address)
    assert then == dataclasses.replace(
        first,
        lease="unknown",
        env_steps=100,
        published_at=saved.time,
        seconds_since_renewal=40.0,
    )
    claimed(storage)
    assert published_status(storage.address).fence == 3
    assert published_status(storage.address).env_steps == 100
