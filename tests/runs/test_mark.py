"""The key with which a user's own runs are marked."""

import os
import stat

import pytest

from frankrl.core import system
from frankrl.runs.mark import is_own, key_file, mark_of

NAMES = ["module:Env-v0", {"size": 3}]


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_key_is_the_users_alone(state):
    assert mark_of(NAMES)
    assert key_file() == state / "frank" / "key"
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file().parent.stat().st_mode) == 0o700
    assert os.listdir(key_file().parent) == ["key"]


@pytest.mark.parametrize("is_first", [True, False])
def test_without_hard_links_a_key_that_is_there_stays(is_first, state, monkeypatch):
    theirs = bytes(range(32))

    def refused(temporary, path):
        if not is_first:
            path.touch(0o600)
            path.write_bytes(theirs)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refused)
    mark = mark_of(NAMES)
    assert (key_file().read_bytes() == theirs) is not is_first
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert os.listdir(key_file().parent) == ["key"]
    assert is_own(mark, NAMES)


def test_a_mark_belongs_to_its_names_and_its_key(state):
    mark = mark_of(NAMES)
    assert mark_of(NAMES) == mark
    assert is_own(mark, NAMES)
    assert is_own(mark, ["module:Env-v0", {"size": 3}])
    for other in (["module:Env-v1", {"size": 3}], ["module:Env-v0", {"size": 4}], NAMES[:1]):
        assert not is_own(mark, other)
    for wrong in ("", mark[:-1], mark.upper(), "ü"):
        assert not is_own(wrong, NAMES)
    key_file().unlink()
    assert not is_own(mark, NAMES)
    assert not key_file().exists()
    assert mark_of(NAMES) != mark


@pytest.mark.parametrize("spoil", ["readable", "short", "folder", "no state folder"])
def test_a_key_that_is_no_secret_or_no_key_marks_nothing(state, spoil):
    mark = mark_of(NAMES)
    match spoil:
        case "readable":
            key_file().chmod(0o644)
        case "short":
            key_file().write_bytes(b"")
        case "folder":
            key_file().unlink()
            key_file().mkdir()
        case "no state folder":
            key_file().unlink()
            key_file().parent.rmdir()
            key_file().parent.write_text("a file")
    assert not is_own(mark, NAMES)
    assert not is_own("", NAMES)
    assert mark_of(NAMES) == ""


def test_on_windows_only_a_key_in_the_users_own_folder_marks_anything(state, tmp_path, monkeypatch):
    """Files have no mode there, so a folder that a variable names may be everybody's."""
    before = mark_of(NAMES)
    monkeypatch.setattr(system, "IS_WINDOWS", True)
    assert not is_own(before, NAMES)
    assert mark_of(NAMES) == ""
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert is_own(mark_of(NAMES), NAMES)
