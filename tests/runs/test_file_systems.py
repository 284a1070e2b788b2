"""Files with two names, and file systems that cannot lock or cannot hold the metrics."""

import errno
import os
import shutil
import sqlite3
import subprocess

import pytest
from robustness.disk import compiled, shared
from robustness.runs import Case, finished, small_chunks, started, train
from robustness.runs import contents as robust_contents

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import RunFolderError
from frankrl.runs import MetricsWriter, RunLock

SMALL = {"total_env_steps": 200, "final_evaluation_episodes": 1, "hidden_widths": [8]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "run"
    return frankrl.train("CartPole-v1", preset="default", out=path, **SMALL).run


def contents(run):
    return {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


def test_a_run_copied_by_hard_links_is_not_continued(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "original")
    original, copy = tmp_path / "original", tmp_path / "copy"
    subprocess.run(["cp", "-al", original, copy], check=True)
    before = contents(original)
    assert frank(["train", "--resume", str(copy), "--total-env-steps", "300"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has 2 names (hard links)" in line
    assert "cp -a" in line
    assert contents(original) == before
    shutil.rmtree(copy)
    shutil.copytree(original, copy)
    assert frankrl.resume(copy, total_env_steps=300).env_steps >= 300
    assert contents(original) == before


@pytest.mark.parametrize("file", [".lock", "metrics.sqlite", "metrics.sqlite-wal"])
@pytest.mark.parametrize("how", [os.link, os.symlink])
def test_no_file_that_is_appended_to_has_another_name(run, tmp_path, file, how):
    shutil.copytree(run, tmp_path / "run")
    other, own = tmp_path / "other", tmp_path / "run" / file
    other.write_bytes(own.read_bytes() if own.exists() else b"")
    own.unlink(missing_ok=True)
    how(other, own)
    before = other.read_bytes()
    with pytest.raises(RunFolderError, match=r"hard links|no ordinary file"):
        frankrl.resume(tmp_path / "run", total_env_steps=300)
    run = tmp_path / "run"
    written = (run, run) if file == ".lock" else (run / "metrics.sqlite",)
    with pytest.raises(RunFolderError, match=r"hard links|no ordinary file"):
        (RunLock if file == ".lock" else MetricsWriter)(*written)
    assert other.read_bytes() == before


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_lock_is_named_and_nothing_is_left(
    error, tmp_path, monkeypatch, capsys
):
    def refuse(file, operation):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr("fcntl.flock", refuse)
    assert frank(["train", "CartPole-v1", "--out", str(tmp_path / "deep" / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"file system of {tmp_path / 'deep'} cannot lock files" in line
    assert "publish the run there instead (--publish)" in line
    assert "with an --out on a local disk" in line
    assert not (tmp_path / "deep" / "run").exists()
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_file_system_that_cannot_hold_the_metrics_is_named_and_nothing_is_left(
    tmp_path, monkeypatch
):
    connect = sqlite3.connect

    def without_shared_memory(path, **options):
        # SQLite's own layer without shared memory, which its write-ahead log needs.
        return connect(f"{path.as_uri()}?vfs=unix-dotfile", uri=True, **options)

    monkeypatch.setattr("frankrl.runs.metrics.sqlite3.connect", without_shared_memory)
    with pytest.raises(
        RunFolderError, match=r"cannot hold the metrics.*\(publish\).* an out on a local"
    ):
        frankrl.train("CartPole-v1", out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def frank_there(folder, library, *words):
    """The command in a process for which a folder is on the worst of network file systems."""
    return finished(started("-m", "frankrl", "train", *map(str, words), **shared(library, folder)))


@pytest.mark.slow
def test_a_run_is_published_where_there_are_no_locks_no_log_and_no_links(tmp_path):
    case, there = Case("CartPole-v1", 2, True, 0), tmp_path / "shared"
    there.mkdir()
    library = compiled(tmp_path, "shared_disk")
    status, errors = frank_there(there, library, *case.flags(), "--out", there / "run")
    assert status == 2
    assert "cannot lock files" in errors
    assert "--publish" in errors
    assert list(there.iterdir()) == []
    words = (*case.flags(), "--publish", there / "run", "--lease-seconds", "2")
    status, errors = frank_there(there, library, *words, "--out", tmp_path / "local")
    assert status == 0, errors
    assert train(case, tmp_path / "plain")[0] == 0
    with small_chunks():
        fetched = frankrl.fetch(there / "run", tmp_path / "fetched")
        assert robust_contents(fetched) == robust_contents(tmp_path / "plain")


def test_metrics_where_memory_cannot_be_shared_say_what_to_do(tmp_path):
    there, library = tmp_path / "shared", compiled(tmp_path, "shared_disk")
    there.mkdir()
    script = (
        "import sys; from pathlib import Path; from frankrl.runs import MetricsWriter\n"
        "try: MetricsWriter(Path(sys.argv[1]) / 'run' / 'metrics.sqlite')\n"
        "except Exception as error: print(error, file=sys.stderr)"
    )
    (there / "run").mkdir()
    _, errors = finished(started("-c", script, str(there), **shared(library, there)))
    assert f"the file system of {there} cannot hold the metrics" in errors


def test_a_run_is_not_replaced_where_another_cannot_be_written(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    before = contents(tmp_path / "run")

    def refuse(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(RunFolderError, match="cannot lock files"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", overwrite=True)
    assert contents(tmp_path / "run") == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
