"""Shared storage: each kind behaves like a table of names, and creates a file once only."""

import errno
import hashlib
import os
import sys
import threading

import pytest
from runs.storages import refuse_links, storage_of

from frankrl.core.errors import DamagedError, MissingExtraError, SettingError, StorageError
from frankrl.runs.publishing.folder_storage import FolderStorage
from frankrl.runs.publishing.opened_storage import open_storage

KINDS = ["folder", "no-links", "memory", pytest.param("s3", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def storage(request, tmp_path, monkeypatch):
    return storage_of(request.param, tmp_path, monkeypatch)


def entry_of(content):
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_storage_behaves_like_a_table_of_names(storage, tmp_path):
    table = {}
    (tmp_path / "file").write_bytes(b"of the disk")
    assert storage.names("log") == []
    assert storage.read("log/1", 10) is None
    for name, content in [
        ("log/1", b"one"),
        ("log/2", b"two"),
        ("log/1", b"other"),
        ("a/b/c", b"d"),
    ]:
        table.setdefault(name, content)
        assert storage.create(name, content) == (table[name] == content)
    for name, content in [("log/2", b"replaced"), ("lease", b"new")]:
        storage.put(name, content)
        table[name] = content
    storage.put_file("log/3", tmp_path / "file")
    table["log/3"] = b"of the disk"
    for name in ("log/1", "log/none"):
        storage.delete(name)
        table.pop(name, None)
    assert storage.names("log") == ["2", "3"]
    assert storage.names("a") == []
    for name, content in table.items():
        assert storage.read(name, 100) == content
    storage.check_exclusive()
    assert [name for name in storage.names("") if name.startswith("probe")] == []


@pytest.mark.parametrize("linked", ["blobs", "blobs/000001"])
def test_a_folder_that_is_a_link_is_not_followed(linked, tmp_path):
    """Anybody who can write to the shared folder could lead others out of it."""
    storage, outside = FolderStorage(tmp_path / "shared"), tmp_path / "outside"
    (outside / "000001").mkdir(parents=True)
    for folder in (outside, outside / "000001"):
        (folder / "thesis").write_bytes(b"mine")
    (tmp_path / "shared" / linked).parent.mkdir(parents=True)
    (tmp_path / "shared" / linked).symlink_to(outside)
    name = "blobs/000001/thesis"
    for refused in (
        lambda: storage.names("blobs/000001"),
        lambda: storage.delete(name),
        lambda: storage.read(name, 100),
        lambda: storage.put(name, b"x"),
        lambda: storage.put_file(name, outside / "thesis"),
        lambda: storage.create("blobs/000001/new", b"x"),
        lambda: storage.get_file(name, tmp_path / "copy", entry_of(b"mine")),
    ):
        with pytest.raises(StorageError, match="is a link"):
            refused()
    found = {path.name: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    assert found == {"thesis": b"mine"}


def test_of_many_that_create_a_file_one_succeeds(storage):
    start, results = threading.Barrier(8), {}

    def create(number):
        start.wait()
        results[number] = storage.create("log/000001.json", b"%d" % number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [number for number, won in results.items() if won]
    assert storage.read("log/000001.json", 10) == b"%d" % winner
    assert storage.names("log") == ["000001.json"]


def test_a_file_is_verified_when_it_is_copied_to_the_disk(storage, tmp_path):
    storage.put("blob", b"content")
    storage.get_file("blob", tmp_path / "copy", entry_of(b"content"))
    assert (tmp_path / "copy").read_bytes() == b"content"
    wrong = {"longer": b"content and more", "shorter": b"cont", "other": b"CONTENT"}
    for name, expected in wrong.items():
        with pytest.raises(DamagedError, match="is damaged"):
            storage.get_file("blob", tmp_path / name, entry_of(expected))
    with pytest.raises(DamagedError, match="is missing"):
        storage.get_file("none", tmp_path / "none", entry_of(b""))


def test_nothing_larger_than_allowed_is_read(storage):
    storage.put("big", b"12345")
    assert storage.read("big", 5) == b"12345"
    with pytest.raises(DamagedError, match="at most 4"):
        storage.read("big", 4)


def test_a_link_or_a_folder_in_the_storage_is_not_followed(tmp_path):
    storage = FolderStorage(tmp_path / "shared")
    (tmp_path / "secret").write_bytes(b"secret")
    storage.put("log/1", b"")
    (tmp_path / "shared" / "link").symlink_to(tmp_path / "secret")
    for name in ("link", "log"):
        with pytest.raises(DamagedError):
            storage.read(name, 100)
        with pytest.raises(DamagedError):
            storage.get_file(name, tmp_path / "copy", entry_of(b"secret"))


def test_a_store_that_overwrites_what_it_is_to_create_is_refused(tmp_path, monkeypatch):
    storage = FolderStorage(tmp_path / "shared")

    def overwrite(name, content):
        storage.put(name, content)
        return True

    monkeypatch.setattr(storage, "create", overwrite)
    with pytest.raises(StorageError, match="overwrites a file that it was to create"):
        storage.check_exclusive()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    storage = FolderStorage(tmp_path / "shared")
    monkeypatch.setattr("frankrl.runs.publishing.folder_storage.write_durably", full)
    for write in (storage.put, storage.create):
        with pytest.raises(StorageError, match=r"shared/a cannot be written: No space left"):
            write("a", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot be written: (Not a directory|File exists)"):
        FolderStorage(tmp_path / "file").create("a", b"")


def test_a_part_of_a_file_is_left_only_where_there_are_no_links(tmp_path, monkeypatch):
    storage = FolderStorage(tmp_path / "shared")

    def cut(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    storage.put("log/0", b"")
    with monkeypatch.context() as patch:
        patch.setattr("frankrl.runs.disk.os.fsync", cut)
        with pytest.raises(StorageError):
            storage.create("log/1", b"content")
    assert storage.names("log") == ["0"]
    with monkeypatch.context() as patch:
        patch.setattr("frankrl.runs.publishing.folder_storage.os.link", refuse_links)
        assert storage.create("log/1", b"content")
        assert not storage.create("log/1", b"other")


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("s4://bucket/x", StorageError, r"begins with s3://, gs://.*got 's4://bucket/x'"),
        ("https://host/x", StorageError, "takes a folder, or an address"),
        ("file:///tmp/x", StorageError, "takes a folder, or an address"),
        ("s3://", StorageError, "give s3://BUCKET/FOLDER"),
        ("", SettingError, "must be a path"),
        ("x" * 300, SettingError, "leads nowhere"),
    ],
)
def test_an_address_that_is_none_is_refused_with_what_is_allowed(address, error, words):
    with pytest.raises(error, match=words):
        open_storage(address)


def test_a_missing_package_is_named_with_the_extra_that_installs_it(monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match=r"'gcsfs'.*frankrl\[gcs\]"):
        open_storage("gs://bucket/x")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"'fsspec'.*frankrl\[remote-storage\]"):
        open_storage("memory://x")
    with pytest.raises(MissingExtraError, match=r"'fsspec'.*frankrl\[s3\]"):
        open_storage("s3://bucket/x")
