"""Shared storage for tests: folders with and without hard links, memory, and S3."""

import errno
import functools
import itertools
import os

import pytest

from frankrl.runs.publishing.folder_storage import FolderStorage
from frankrl.runs.publishing.opened_storage import open_storage
from frankrl.runs.publishing.storage import Storage

_numbers = itertools.count()


def storage_of(kind: str, tmp_path, monkeypatch) -> Storage:
    """A new, empty storage of a kind: `folder`, `no-links`, `memory` or `s3`."""
    if kind == "memory":
        pytest.importorskip("fsspec")
        return open_storage(f"memory://tests/{os.getpid()}-{next(_numbers)}")
    if kind == "s3":
        return _of_s3(monkeypatch)
    if kind == "no-links":
        monkeypatch.setattr("frankrl.runs.publishing.folder_storage.os.link", refuse_links)
    return FolderStorage(tmp_path / "shared")


def refuse_links(*paths, **named):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def _of_s3(monkeypatch) -> Storage:
    """A bucket of a server of our own that speaks S3."""
    pytest.importorskip("s3fs")
    host, port = _s3_server()
    variables = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    variables |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{next(_numbers)}"
    storage = open_storage(f"s3://{bucket}/run")
    storage._files.mkdir(bucket)  # pyright: ignore[reportAttributeAccessIssue]
    return storage


@functools.cache
def _s3_server() -> tuple[str, int]:
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    return server.get_host_and_port()
