"""Runs that move: killed, frozen, cut off, taken over, and the same bits as undisturbed."""

import contextlib
import functools
import hashlib
import itertools
import os
import shutil
import threading

import pytest
from long_forms import some_of
from robustness.runs import contents, small_chunks
from runs.storages import storage_of

import frankrl
from frankrl.config.presets import load_preset
from frankrl.core.errors import (
    FrankWarning,
    RunFolderError,
    SettingError,
    StorageError,
    SupersededError,
)
from frankrl.runs import RunDescription
from frankrl.runs.publishing import Log, Ownership, Publisher, lease, published_status
from frankrl.runs.publishing.publisher import staging_of
from frankrl.runs.publishing.records import File, saved_content
from frankrl.training import Checkpointed, Evaluated, Stop, published, published_folder, taking_over
from frankrl.training.published import publish_or_take_over

pytestmark = pytest.mark.slow

SETTINGS = {
    "num_envs": 2,
    "hidden_widths": (8,),
    "n_step": 3,
    "learning_starts_env_steps": 40,
    "replay_capacity": 150,
    "total_env_steps": 300,
    "checkpoint_every_env_steps": 50,
    "log_every_env_steps": 50,
    "evaluate_every_env_steps": 100,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "worker_processes": 0,
}
CHOSEN = load_preset("default").with_changes(**SETTINGS)
QUICK = 0.1
"""Length of a lease, in seconds, that is to be taken over at once."""


class Killed(BaseException):
    """Stands for the end of a process."""


class CutOff:
    """Whether this process still reaches the storage."""

    def __init__(self, storage, monkeypatch, reached):
        """Each call of the storage is counted, and fails once `reached` has said no.

        Args:
            reached: takes the number of the call, from 1, its method and its name, and whether it
                is about to be made or was just made; false: this process is cut off there.
        """
        self.calls, self.is_cut = 0, False
        self._lock = threading.RLock()
        for method in ("read", "names", "put", "put_file", "create", "delete"):
            call = functools.partial(self._call, reached, method, getattr(storage, method))
            monkeypatch.setattr(storage, method, call)
        monkeypatch.setattr(published, "open_storage", lambda address: storage)

    def _call(self, reached, method, original, name, *rest):
        with self._lock:
            self.calls += 1
            self.check(reached(self.calls, method, name, "before"))
            answer = original(name, *rest)
            self.check(reached(self.calls, method, name, "after"))
            return answer

    def check(self, is_reached):
        self.is_cut |= not is_reached
        if self.is_cut:
            raise StorageError("the storage cannot be reached")


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_chunks():
        yield


@pytest.fixture(autouse=True)
def _in_order(monkeypatch):
    """Each state is published before the training goes on, and nothing is waited for in vain."""
    publish = Publisher.publish

    def publish_and_wait(self):
        publish(self)
        self._wait()

    monkeypatch.setattr(Publisher, "publish", publish_and_wait)
    monkeypatch.setattr("frankrl.runs.publishing.publisher._RETRY_SECONDS", 0)


@pytest.fixture(scope="module")
def undisturbed_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "run"
    return frankrl.train("CartPole-v1", preset="default", seed=5, out=path, **SETTINGS).run


@pytest.fixture(scope="module")
def undisturbed(undisturbed_run):
    return contents(undisturbed_run)


def train(address, **more):
    given = {"lease_seconds": QUICK} | more
    return publish_or_take_over("CartPole-v1", "default", CHOSEN, 5, address, **given)


def fetched(address, tmp_path):
    return contents(frankrl.fetch(address, tmp_path / "fetched"))


def everything(storage):
    """All that a storage holds but the leases."""
    names = [f"log/{name}" for name in storage.names("log")]
    for fence in range(1, 30):
        folder = f"blobs/{fence:06d}"
        names += [f"{folder}/{name}" for name in storage.names(folder)]
    return {name: storage.read(name, 1 << 30) for name in names}


@pytest.mark.parametrize("kind", ["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_published_run_is_the_run_itself(kind, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    storage = storage_of(kind, tmp_path, monkeypatch)
    result = train(storage.address)
    assert result.published == storage.address
    assert not result.run.exists()
    assert list((tmp_path / "node").iterdir()) == []
    assert fetched(storage.address, tmp_path) == undisturbed
    status = published_status(storage.address)
    assert (status.finished, status.lease, status.env_steps) == (True, "expired", 300)
    assert frankrl.evaluate(tmp_path / "fetched", episodes=1, progress=False).returns
    # Only the contents of the states that are kept stay.
    states = [record for record in Log(storage).history() if hasattr(record, "files")][:2]
    named = {f"blobs/{file.blob}" for record in states for file in record.files.values()}
    assert {name for name in everything(storage) if name.startswith("blobs")} == named


def before(method, start, count=1):
    """A process is cut off before its so-manieth call of a method with such a name."""
    seen = []

    def reached(number, called, name, moment):
        if moment == "before" and called == method and name.startswith(start):
            seen.append(name)
        return len(seen) < count

    return reached


def after(method, start, count=1):
    """Likewise, after that call has done what it was to do."""
    seen = []

    def reached(number, called, name, moment):
        if moment == "after" and called == method and name.startswith(start):
            seen.append(name)
        return len(seen) < count

    return reached


POINTS = {
    "after its claim": after("create", "log/"),
    "within its first state": after("put_file", "blobs/", 3),
    "within its third state": before("put_file", "blobs/", 25),
    "before its fourth record": before("create", "log/", 5),
    "while it removes old contents": after("delete", "blobs/", 3),
    "after its end": after("create", "log/", 8),
}


QUICK_POINT = "within its third state"


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(point, id=name, marks=() if name == QUICK_POINT else pytest.mark.slow)
        for name, point in POINTS.items()
    ],
)
def test_who_was_killed_anywhere_is_taken_over_to_the_same_bits(
    reached, undisturbed, tmp_path, monkeypatch
):
    storage = storage_of("folder", tmp_path, monkeypatch)

    def die(event):
        if cut.is_cut:
            raise Killed

    with monkeypatch.context() as patch:
        cut = CutOff(storage, patch, reached)
        patch.setattr("warnings.warn", lambda *arguments, **named: None)
        with contextlib.suppress(Killed, StorageError):
            train(storage.address, local=tmp_path / "killed", on_event=die)
    assert cut.is_cut
    result = train(storage.address, local=tmp_path / "taken")
    assert fetched(storage.address, tmp_path) == undisturbed
    assert contents(result.run) == undisturbed
    kinds = [record.kind for record in Log(storage).history()]
    assert kinds.count("finished") == 1


def taken_over(storage, tmp_path, monkeypatch, patch_owner):
    """The error of an owner that was frozen and taken over, and what the storage held by then."""
    held = {}

    def take():
        if held:
            return
        held["begun"] = True
        with contextlib.ExitStack() as stack:
            stack.enter_context(small_chunks())
            result = train(storage.address, local=tmp_path / "taken")
        held["result"], held["storage"] = result, everything(storage)

    with monkeypatch.context() as patch:
        # A frozen process renews nothing.
        keep = lease.LeaseKeeper._write
        patch.setattr(
            lease.LeaseKeeper,
            "_write",
            lambda self, seconds: None if self._ownership.fence == 1 else keep(self, seconds),
        )
        more = patch_owner(take, patch)
        with pytest.raises(SupersededError) as refused:
            train(storage.address, local=tmp_path / "frozen", **more)
    assert everything(storage) == held["storage"]
    return str(refused.value), held["result"]


def frozen_at_an_evaluation(storage, take, patch):
    return {"on_event": lambda event: take() if isinstance(event, Evaluated) else None}


def frozen_after_a_publish(storage, take, patch):
    return {"on_event": lambda event: take() if isinstance(event, Checkpointed) else None}


def frozen_before_its_first_step(storage, take, patch):
    return {"on_begin": lambda training: take()}


def frozen_before_a_record(storage, take, patch):
    create = storage.create

    def frozen(name, content):
        if name == "log/000003.json":
            take()
        return create(name, content)

    patch.setattr(storage, "create", frozen)
    patch.setattr(published, "open_storage", lambda address: storage)
    return {}


FROZEN = [
    frozen_before_a_record,
    frozen_at_an_evaluation,
    frozen_before_its_first_step,
    frozen_after_a_publish,
]


@pytest.mark.parametrize("frozen", some_of(FROZEN, FROZEN[:1]))
def test_who_was_frozen_and_taken_over_is_refused_by_name_and_publishes_nothing(
    frozen, undisturbed, tmp_path, monkeypatch
):
    storage = storage_of("folder", tmp_path, monkeypatch)
    words, result = taken_over(
        storage, tmp_path, monkeypatch, lambda take, patch: frozen(storage, take, patch)
    )
    host = published_status(storage.address).host
    second = published_status(storage.address).fence
    assert f"taken over by process {os.getpid()} on {host} with fencing number {second}" in words
    assert "number 1)" in words
    assert contents(result.run) == undisturbed
    assert fetched(storage.address, tmp_path) == undisturbed


def test_a_storage_that_cannot_be_reached_for_a_while_is_named_once(
    undisturbed, tmp_path, monkeypatch
):
    storage = storage_of("folder", tmp_path, monkeypatch)
    put_file, events = storage.put_file, []

    def sometimes(name, path):
        if len(events) < 4:
            raise StorageError("there is no network")
        put_file(name, path)

    monkeypatch.setattr(storage, "put_file", sometimes)
    monkeypatch.setattr(published, "open_storage", lambda address: storage)
    with pytest.warns(FrankWarning) as warned:
        train(storage.address, on_event=lambda event: events.append(event))
    (line,) = [str(each.message) for each in warned]
    assert "there is no network; training goes on" in line
    assert fetched(storage.address, tmp_path) == undisturbed


@pytest.mark.parametrize("out", [pytest.param(True, marks=pytest.mark.slow), False])
def test_what_could_not_be_published_at_the_end_stays_and_the_same_call_publishes_it(
    out, undisturbed, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "node"))
    (tmp_path / "node").mkdir()
    storage = storage_of("folder", tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        CutOff(storage, patch, before("create", "log/", 8))
        with pytest.raises(StorageError) as failed:
            train(storage.address, local=tmp_path / "run" if out else None)
    path = tmp_path / "run" if out else next((tmp_path / "node").iterdir()) / "run"
    assert (
        f"the last state of the run could not be published: the storage cannot be reached; it "
        f"is whole in {path}; the same command with out={str(path)!r} publishes it"
        in str(failed.value)
    )
    assert contents(path) == undisturbed
    assert not staging_of(path).exists()
    trained = []
    train(storage.address, local=path, on_event=trained.append)
    assert not any(isinstance(event, Evaluated) for event in trained)
    assert fetched(storage.address, tmp_path) == undisturbed


def test_a_finished_run_is_told_and_nothing_is_trained(undisturbed, tmp_path, monkeypatch):
    first = train(tmp_path / "shared", local=tmp_path / "first")
    monkeypatch.setattr(published_folder, "prepare", None)
    monkeypatch.setattr(published_folder, "prepare_resume", None)
    said = []
    second = train(tmp_path / "shared", local=tmp_path / "second", say=said.append)
    assert said == [f"{tmp_path / 'shared'} holds the finished run: nothing is left to train"]
    assert second.report() | {"run": ""} == first.report() | {"run": ""}
    assert contents(tmp_path / "second") == undisturbed
    assert train(tmp_path / "shared").evaluation == first.evaluation


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 6}, r"its seed is 5 \(given 6\)"),
        ({"env_id": "Acrobot-v1"}, r"its environment is CartPole-v1 \(given Acrobot-v1\)"),
        (
            {"settings": CHOSEN.with_changes(gamma=0.5, num_envs=1)},
            r"its gamma is 0.99 \(given 0.5\); |its num_envs is 2 \(given 1\); its gamma",
        ),
    ],
    ids=["seed", "environment", "settings"],
)
def test_another_run_at_the_address_or_in_the_folder_is_refused(
    change, words, tmp_path, monkeypatch
):
    def stop(event):
        return Stop("enough") if isinstance(event, Checkpointed) else None

    train(tmp_path / "shared", local=tmp_path / "run", on_event=stop)
    asked = {"env_id": "CartPole-v1", "preset": "default", "settings": CHOSEN, "seed": 5} | change
    with pytest.raises(SettingError, match=rf"shared holds another run: .*({words})"):
        publish_or_take_over(**asked, address=tmp_path / "shared")
    with pytest.raises(RunFolderError, match=rf"run holds another run: .*({words})"):
        publish_or_take_over(**asked, address=tmp_path / "other", local=tmp_path / "run")
    assert not (tmp_path / "other").exists()


def test_a_state_that_names_other_code_than_its_claim_is_not_taken(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    events = []
    train(storage.address, on_event=events.append, stop_requested=lambda: len(events) > 2)
    log = Log(storage)
    config = log.newest_saved().files["config.toml"]
    content = storage.read(f"blobs/{config.blob}", 1 << 20).decode()
    changed = content.replace("wrappers = []", 'wrappers = ["os:system"]', 1).encode()
    assert changed != content.encode()
    sha256 = hashlib.sha256(changed).hexdigest()
    storage.put(f"blobs/000001/{sha256}", changed)
    head, last = log.head()
    owner = Ownership.claimed(log, head, last, log.claim_of(head).description, QUICK)
    files = log.newest_saved().files
    files |= {"config.toml": File(f"000001/{sha256}", len(changed), sha256)}
    owner.append("checkpoint", saved_content(head.env_steps, files, None))
    with pytest.raises(
        StorageError, match="is of another run than its owner has claimed: its wrap"
    ):
        train(storage.address, local=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_another_process_has_finished_is_brought_up_to_date(undisturbed, tmp_path):
    events = []
    train(
        tmp_path / "shared", local=tmp_path / "run",
        on_event=events.append, stop_requested=lambda: len(events) > 2,
    )  # fmt: skip
    train(tmp_path / "shared")
    train(tmp_path / "shared", local=tmp_path / "run")
    assert contents(tmp_path / "run") == undisturbed


def test_a_claim_without_a_state_holds_no_run(tmp_path):
    with pytest.raises(frankrl.FrankError):
        publish_or_take_over("NoSuch-v0", "default", CHOSEN, 5, tmp_path / "shared")
    assert published_status(tmp_path / "shared").lease == "expired"
    assert train(tmp_path / "shared").env_steps == 300


def test_who_waits_says_for_whom_and_ends_at_a_request(tmp_path, monkeypatch):
    said, asked = [], []

    def wait(event):
        if not said and isinstance(event, Checkpointed):
            waiting = train(tmp_path / "shared", say=said.append, stop_requested=is_tired)
            assert waiting is None

    def is_tired():
        asked.append(True)
        return len(asked) > 3

    train(tmp_path / "shared", lease_seconds=30.0, on_event=wait)
    line, last = said
    assert last == f"{tmp_path / 'shared'} was waited for in vain; the same command waits again"
    assert f"is held by process {os.getpid()} on " in line
    assert "fencing number 1" in line
    assert "waiting until" in line


@pytest.mark.parametrize(("method", "first"), [("names", 2), ("create", 1)])
def test_who_waits_outlives_a_storage_that_is_away_for_a_while(
    method, first, tmp_path, monkeypatch
):
    storage = storage_of("folder", tmp_path, monkeypatch)
    description = RunDescription("CartPole-v1", "default", 5, CHOSEN)
    Ownership.claimed(Log(storage), None, 0, description, 0.5)
    original, calls, said = getattr(storage, method), [], []

    def sometimes(*given):
        calls.append(given)
        if first <= len(calls) < first + 2:
            raise StorageError("away")
        return original(*given)

    monkeypatch.setattr(storage, method, sometimes)
    monkeypatch.setattr(published, "open_storage", lambda address: storage)
    monkeypatch.setattr(taking_over, "_LOOK_SECONDS", 0.05)
    stop = lambda: len(said) > 1  # noqa: E731 - as soon as it has taken the run
    result = train(storage.address, say=said.append, stop_requested=stop)
    assert result.stopped
    assert ["is held by" in said[0], "with fencing number 2" in said[1]] == [True, True]


def test_a_run_that_was_stopped_goes_on_at_once_and_one_that_stops_itself_is_over(
    undisturbed, tmp_path
):
    events = []
    first = train(
        tmp_path / "shared", lease_seconds=60.0,
        on_event=events.append, stop_requested=lambda: len(events) > 3,
    )  # fmt: skip
    assert first.stopped
    assert not published_status(tmp_path / "shared").finished
    assert train(tmp_path / "shared", lease_seconds=60.0).env_steps == 300
    assert fetched(tmp_path / "shared", tmp_path) == undisturbed


def test_a_state_is_kept_though_the_answer_of_the_storage_was_lost(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    create, seen = storage.create, set()

    def lost(name, content):
        is_new = create(name, content)
        if name == "log/000003.json" and is_new:
            raise StorageError("the connection was lost")
        return is_new

    def look(event):
        if isinstance(event, Checkpointed):
            for record in itertools.islice(Log(storage).states(), 2):
                seen.add(record.number)
                for file in record.files.values():
                    assert (tmp_path / "shared" / "blobs" / file.blob).exists()

    monkeypatch.setattr(storage, "create", lost)
    monkeypatch.setattr(published, "open_storage", lambda address: storage)
    with pytest.warns(FrankWarning, match="the connection was lost"):
        train(storage.address, on_event=look)
    assert {2, 3, 4} <= seen


def test_only_what_owners_have_written_is_looked_for_and_removed(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    description = RunDescription("CartPole-v1", "default", 5, CHOSEN)
    assert Ownership.claimed(Log(storage), None, 0, description, QUICK)
    # A process was killed while it wrote: that number is no owner's.
    storage.create("log/000002.json", b"{")
    left = f"blobs/000001/{'0' * 64}"
    for name in ("blobs/000001/notes.txt", left, "lease/notes.txt"):
        storage.put(name, b"of somebody")
    names, folders, events = storage.names, set(), []
    monkeypatch.setattr(storage, "names", lambda folder: folders.add(folder) or names(folder))
    monkeypatch.setattr(published, "open_storage", lambda address: storage)
    train(storage.address, on_event=events.append, stop_requested=lambda: len(events) > 2)
    assert {folder for folder in folders if folder.startswith("blobs")} == {
        "blobs/000001",
        "blobs/000004",
    }
    assert storage.read(left, 100) is None
    assert storage.read("blobs/000001/notes.txt", 100) == b"of somebody"
    assert storage.read("lease/notes.txt", 100) == b"of somebody"


def test_a_damaged_state_is_passed_over(undisturbed, tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    events = []
    train(storage.address, on_event=events.append, stop_requested=lambda: len(events) > 6)
    newest, older = [r for r in Log(storage).history() if hasattr(r, "files")][:2]
    (name,) = [
        name for name in newest.files
        if name.endswith(f"{newest.env_steps:012d}/manifest.json") and "checkpoints" in name
    ]  # fmt: skip
    storage.put(f"blobs/{newest.files[name].blob}", b"{}")
    with pytest.warns(FrankWarning, match=r"is damaged.*the state before it is used"):
        result = train(storage.address, local=tmp_path / "taken")
    assert older.env_steps < newest.env_steps
    assert contents(result.run) == undisturbed
    assert fetched(storage.address, tmp_path) == undisturbed


def test_where_no_state_is_intact_nothing_is_trained(tmp_path, monkeypatch):
    storage = storage_of("folder", tmp_path, monkeypatch)
    events = []
    train(storage.address, on_event=events.append, stop_requested=lambda: len(events) > 6)
    shutil.rmtree(tmp_path / "shared" / "blobs")
    with pytest.raises(RunFolderError, match="is missing; no other state of the run is intact"):
        train(storage.address)
    with pytest.raises(RunFolderError, match="is missing"):
        frankrl.fetch(storage.address, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_local_folder_of_another_history_is_not_mixed_with_the_published_one(
    undisturbed, undisturbed_run, tmp_path
):
    alone, events = tmp_path / "run", []
    shutil.copytree(undisturbed_run, alone)
    train(tmp_path / "shared", on_event=events.append, stop_requested=lambda: len(events) > 3)
    with pytest.raises(RunFolderError, match=r"run is at env step 300, and .* written by another"):
        train(tmp_path / "shared", local=alone)
    train(tmp_path / "shared", local=alone, overwrite=True)
    assert fetched(tmp_path / "shared", tmp_path) == undisturbed


def test_a_local_run_that_was_not_published_yet_is(undisturbed, undisturbed_run, tmp_path):
    shutil.copytree(undisturbed_run, tmp_path / "run")
    train(tmp_path / "shared", local=tmp_path / "run")
    assert fetched(tmp_path / "shared", tmp_path) == undisturbed


class Own:
    """Makes an environment that has no name to import it by."""

    def __call__(self):
        import gymnasium

        return gymnasium.make("CartPole-v1")


@pytest.mark.slow
def test_objects_from_python_are_given_again_by_the_same_call(tmp_path):
    make, settings = Own(), SETTINGS | {"num_envs": 1}

    def call(**more):
        address = tmp_path / "shared"
        return frankrl.train(
            make, preset="default", publish=address, progress=False, **settings, **more
        )

    def stop(event):
        if isinstance(event, Checkpointed):
            raise Killed

    with pytest.raises(Killed):
        call(on_event=stop)
    assert published_status(tmp_path / "shared").env_steps == 50
    result = call(out=tmp_path / "run")
    assert result.env_steps == 300
    assert result.not_reproducible == []


def test_a_mark_of_another_user_in_a_published_run_counts_for_nothing(tmp_path, monkeypatch):
    train(tmp_path / "shared")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
    from frankrl.runs import RunFolder
    from frankrl.runs.description import signed_names
    from frankrl.runs.mark import is_own

    folder = RunFolder.open(frankrl.fetch(tmp_path / "shared", tmp_path / "fetched"))
    assert folder.description.mark
    assert not is_own(folder.description.mark, signed_names(folder.description))
