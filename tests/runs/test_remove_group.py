"""A group of runs is removed with all its runs, or is left as a group that can be removed."""

import os

import pytest
from dashboard_runs import make_group, with_checkpoints
from interrupted import deletions

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import RunFolderError
from frankrl.jobs import driven
from frankrl.listing.columns import size_text
from frankrl.runs import RunLock
from frankrl.runs.disk_usage import disk_usage
from frankrl.runs.group import RunGroup, is_group
from frankrl.runs.lock import LOCK
from frankrl.runs.removal import list_checkpoints, remove_runs


@pytest.fixture
def group(tmp_path):
    make_group(tmp_path / "cart", (3, 4, 5))
    for seed in (3, 4):
        with_checkpoints(tmp_path / "cart" / f"s{seed}")
    with driven(tmp_path / "cart"):
        pass
    return tmp_path / "cart"


def test_a_removed_group_leaves_nothing_and_says_what_it_took(group):
    takes = disk_usage([group]).total
    assert frankrl.remove_run(group) == takes
    assert os.listdir(group.parent) == []


def test_the_command_takes_a_group_for_all_its_runs(group, capsys):
    with_checkpoints(group.parent / "other")
    there = len(RunGroup.open(group).begun())
    words = [str(group), str(group.parent / "other")]
    assert main(["runs", "remove", *words, "--yes"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"removed {there + 1} runs, which frees ")
    assert f"{group}: {there} runs, " in told.err
    assert os.listdir(group.parent) == []


@pytest.mark.parametrize("is_first", [False, True])
def test_a_run_that_is_named_beside_its_group_is_counted_once(is_first, group, capsys):
    there, freed = len(RunGroup.open(group).begun()), disk_usage([group]).freed
    words = [str(group), str(group / "s3")]
    assert main(["runs", "remove", *words[:: -1 if is_first else 1], "--yes"]) == 0
    assert capsys.readouterr().out == (f"removed {there} runs, which frees {size_text(freed)}\n")
    assert os.listdir(group.parent) == []


def test_older_checkpoints_of_all_runs_of_a_group_are_removed(group, capsys):
    assert main(["runs", "remove", str(group), "--checkpoints", "--yes"]) == 0
    assert "the older checkpoints of 2 runs" in capsys.readouterr().out
    for seed in (3, 4):
        assert len(list_checkpoints(group / f"s{seed}" / "checkpoints")) == 1


def test_a_group_with_a_file_of_ones_own_is_kept_whole(group):
    (group / "notes.txt").write_text("mine")
    before = sorted(os.listdir(group))
    with pytest.raises(RunFolderError, match=r"also holds notes\.txt: move that away"):
        frankrl.remove_run(group)
    assert sorted(os.listdir(group)) == before


def test_a_group_of_which_a_run_is_being_written_is_kept_whole(group):
    lock = RunLock(group / "s4", group / "s4")
    try:
        with pytest.raises(RunFolderError, match="s4"):
            frankrl.remove_run(group)
    finally:
        lock.release()
    assert len(RunGroup.open(group).begun()) == 2


def test_a_group_whose_next_run_is_about_to_begin_is_kept_whole(group, capsys):
    """Between two runs, nobody holds the lock of one."""
    before = sorted(os.listdir(group))
    with driven(group):
        with pytest.raises(RunFolderError, match="are being written by process"):
            frankrl.remove_run(group)
        assert main(["runs", "remove", str(group), "--yes"]) == 2
    assert "wait for it, or stop it" in capsys.readouterr().err
    assert sorted(os.listdir(group)) == before


def test_the_same_command_ends_an_interrupted_removal(group):
    remove_runs(RunGroup.open(group).begun()[:1])
    remains = group / ".s4.gone-1"
    (group / "s4").rename(remains)
    frankrl.remove_run(group)
    assert os.listdir(group.parent) == []


def test_a_group_whose_own_files_were_half_deleted_is_removed_by_the_same_command(
    tmp_path, monkeypatch
):
    group, words = tmp_path / "cart", ["runs", "remove", str(tmp_path / "cart"), "--yes"]

    def make_empty_group():
        make_group(group, (3, 4))
        with driven(group):
            pass
        remove_runs(RunGroup.open(group).begun())

    make_empty_group()
    with monkeypatch.context() as patched:
        every = deletions(patched, None)
        frankrl.remove_run(group)
    for stop_after in range(len(every)):
        make_empty_group()
        with monkeypatch.context() as patched:
            deletions(patched, stop_after)
            with pytest.raises(KeyboardInterrupt):
                frankrl.remove_run(group)
        assert len(os.listdir(tmp_path)) == 1
        # The name is free, or the group is one.
        assert not group.exists() or is_group(group)
        assert main(words) == 0
        assert os.listdir(tmp_path) == []


def test_a_removal_of_a_group_that_was_killed_twice_is_ended_by_the_same_command(tmp_path):
    """The second one holds the lock in the remains; killed, it leaves that there."""
    make_group(tmp_path / "cart", (3, 4))
    remove_runs(RunGroup.open(tmp_path / "cart").begun())
    remains = tmp_path / ".cart.gone-1"
    (tmp_path / "cart").rename(remains)
    (remains / LOCK).write_text("1")
    assert main(["runs", "remove", str(tmp_path / "cart"), "--yes"]) == 0
    assert os.listdir(tmp_path) == []


def test_what_a_person_keeps_in_the_remains_of_a_run_keeps_its_group(group):
    remains = group / ".s4.gone-1"
    (group / "s4").rename(remains)
    (remains / "thesis.tex").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"also holds \.s4\.gone-1"):
        frankrl.remove_run(group)
    assert (remains / "thesis.tex").exists()


def test_a_link_to_a_group_is_refused(group, tmp_path):
    (tmp_path / "link").symlink_to(group)
    with pytest.raises(RunFolderError, match="symbolic link"):
        frankrl.remove_run(tmp_path / "link")
    assert group.exists()
