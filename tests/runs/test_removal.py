"""Runs are removed completely or not at all."""

import os
import shutil

import pytest
from dashboard_runs import make_run, with_checkpoints
from interrupted import deletions

import frankrl
from frankrl.core.errors import FrankError, RunFolderError
from frankrl.runs import RunLock, list_checkpoints
from frankrl.runs.checkpoint import verify_checkpoint
from frankrl.runs.disk_usage import disk_usage
from frankrl.runs.removal import finish_removals, remove_older_checkpoints, remove_runs


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_removed_run_leaves_nothing_and_says_what_it_took(tmp_path):
    run, other = with_checkpoints(tmp_path / "run"), with_checkpoints(tmp_path / "other")
    before, takes = files(other), disk_usage([run]).total
    assert frankrl.remove_run(run) == takes
    assert os.listdir(tmp_path) == ["other"]
    assert files(other) == before


@pytest.mark.parametrize("name", ["-rf", "a b", "*", "é\udcff", "new\nline", "x.gone-1"])
def test_a_run_of_any_name_can_be_removed(tmp_path, name):
    frankrl.remove_run(with_checkpoints(tmp_path / name))
    assert os.listdir(tmp_path) == []


def no_run(path):
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def other_config(path):
    path.mkdir()
    (path / "config.toml").write_text("[tool]\nname = 'not Frank'\n")


def run_with_notes(path):
    with_checkpoints(path)
    (path / "notes.txt").write_text("mine")


def run_with_run(path):
    with_checkpoints(path)
    with_checkpoints(path / "videos" / "inner")


def damaged(path):
    with_checkpoints(path)
    (path / "config.toml").write_text("[run\n")


def a_file(path):
    path.write_text("no folder")


REFUSED = {
    "no run": (no_run, "is no run"),
    "another program's": (other_config, "is no run"),
    "notes": (run_with_notes, r"also holds notes\.txt: move that away"),
    "a run inside": (run_with_run, "also holds videos/inner/"),
    "damaged": (damaged, "is no run"),
    "a file": (a_file, "is no run"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_run_alone_is_refused_and_stays(tmp_path, make, words):
    make(tmp_path / "there")
    before = files(tmp_path)
    with pytest.raises(FrankError, match=words):
        frankrl.remove_run(tmp_path / "there")
    assert files(tmp_path) == before


def test_a_link_is_refused_and_where_it_leads_stays(tmp_path):
    run = with_checkpoints(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    before = files(run)
    with pytest.raises(FrankError, match="symbolic link; name the folder"):
        frankrl.remove_run(tmp_path / "link")
    assert files(run) == before


def test_links_in_a_run_are_others_files(tmp_path):
    run = with_checkpoints(tmp_path / "run")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (run / "best").symlink_to(outside)
    with pytest.raises(FrankError, match="also holds best"):
        frankrl.remove_run(run)
    assert (outside / "kept").exists()


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_run_that_is_being_written_is_refused_with_all_others(tmp_path, checkpoints):
    run, other = with_checkpoints(tmp_path / "run"), with_checkpoints(tmp_path / "other")
    lock = RunLock(run, run)
    before = files(tmp_path)
    with pytest.raises(FrankError, match="being written"):
        frankrl.remove_run(run, checkpoints=checkpoints)
    with pytest.raises(FrankError, match="being written"):
        remove_runs([other, run])
    assert set(files(tmp_path)) == set(before)
    lock.release()
    frankrl.remove_run(run, checkpoints=checkpoints)


def test_a_run_that_never_began_is_refused_without_a_trace(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run").path
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(RunFolderError, match="you may not change"):
        frankrl.remove_run(run)
    assert frankrl.list_runs(run)[0].state == "not started"


def test_one_that_cannot_be_renamed_leaves_all(tmp_path, monkeypatch):
    runs = [with_checkpoints(tmp_path / name) for name in ("a", "b", "c")]
    before, rename = set(files(tmp_path)), os.replace

    def failing(source, target):
        if os.path.basename(source) == "c":
            raise PermissionError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr("os.replace", failing)
    with pytest.raises(RunFolderError, match=r"nothing was removed.*c cannot be renamed"):
        remove_runs(runs)
    assert set(files(tmp_path)) == before


def test_a_folder_that_may_not_be_changed_is_found_out_before_anything_is(tmp_path, monkeypatch):
    run = with_checkpoints(tmp_path / "run")
    monkeypatch.setattr("os.access", lambda folder, _: "checkpoints" not in str(folder))
    with pytest.raises(RunFolderError, match=r"you may not change .*checkpoints"):
        frankrl.remove_run(run)
    assert list_checkpoints(run / "checkpoints")


def test_an_interrupted_removal_is_finished_by_the_next_wherever_it_was(tmp_path, monkeypatch):
    run = with_checkpoints(tmp_path / "run")
    with monkeypatch.context() as patched:
        every = deletions(patched, None)
        frankrl.remove_run(run)
    for stop_after in range(len(every)):
        run = with_checkpoints(tmp_path / "run")
        with monkeypatch.context() as patched:
            deletions(patched, stop_after)
            with pytest.raises(KeyboardInterrupt):
                frankrl.remove_run(run)
        # What is there under its name is whole, so nothing is.
        assert not run.exists()
        assert len(os.listdir(tmp_path)) == 1
        assert len(frankrl.list_runs(tmp_path)) == 0
        assert frankrl.remove_run(run) == 0
        assert os.listdir(tmp_path) == []


def test_what_is_not_left_by_a_removal_of_that_run_stays(tmp_path):
    run = with_checkpoints(tmp_path / "run")
    mine = tmp_path / ".mine.gone-12"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    (tmp_path / ".link.gone-13").symlink_to(run)
    being_removed = tmp_path / ".other.gone-14"
    shutil.copytree(run, being_removed)
    named = [tmp_path / name for name in ("mine", "link", "other")]
    lock = RunLock(being_removed, being_removed)
    finish_removals(named)
    assert being_removed.exists()
    lock.release()
    finish_removals([run])
    assert being_removed.exists()
    finish_removals(named)
    assert not being_removed.exists()
    assert (mine / "thesis.tex").exists()
    assert (tmp_path / ".link.gone-13").is_symlink()
    assert run.exists()


def test_of_the_checkpoints_the_newest_stays_and_the_run_as_it_is(tmp_path):
    run = with_checkpoints(tmp_path / "run")
    before = files(run)
    state = frankrl.list_runs(run)[0].state
    (tmp_path / "run" / "checkpoints" / ".5.gone").mkdir()
    older = [run / "checkpoints" / name for name in os.listdir(run / "checkpoints")]
    older = [path for path in older if path.name.isdigit() and int(path.name) < 30]
    takes = disk_usage(older).total
    assert frankrl.remove_run(run, checkpoints=True) == takes
    (newest,) = list_checkpoints(run / "checkpoints")
    verify_checkpoint(newest)
    assert int(newest.name) == 30
    kept = f"checkpoints/{newest.name}/"
    assert files(run) == {
        name: content
        for name, content in before.items()
        if not name.startswith("checkpoints/") or name.startswith(kept)
    }
    assert frankrl.list_runs(run)[0].state == state
    assert frankrl.remove_run(run, checkpoints=True) == 0


def test_older_checkpoints_stay_if_the_newest_is_damaged(tmp_path):
    run = with_checkpoints(tmp_path / "run")
    newest = list_checkpoints(run / "checkpoints")[-1]
    with open(newest / "online.safetensors", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(RunFolderError, match=r"no checkpoint was removed.*is damaged"):
        remove_older_checkpoints(run)
    assert len(list_checkpoints(run / "checkpoints")) == 3
