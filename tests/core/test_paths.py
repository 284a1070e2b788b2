"""Paths that people give."""

from pathlib import Path

import pytest

from frankrl.core.errors import SettingError
from frankrl.core.paths import given_path


def test_a_path_is_taken_as_text_or_path_and_need_not_exist(tmp_path):
    home = Path.home()
    assert given_path("~/runs", "out") == home / "runs"
    assert given_path(tmp_path / "none", "out") == tmp_path / "none"
    assert given_path("a/b", "out") == Path("a/b")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("~nosuchuser/x", "'?~nosuchuser'? is no user"),
        ("x" * 300, "leads nowhere: file name too long"),
        ("runs/" + "x" * 300 + "/a", "leads nowhere: file name too long"),
        ("loop", "leads nowhere: too many levels of symbolic links"),
        ("loop/run", "leads nowhere: too many levels of symbolic links"),
        ("nul\0", "is no path"),
        ("", "must be a path"),
        (3, "must be a path, as text or a pathlib.Path, got 3"),
        (b"bytes", "must be a path"),
        (["a"], "must be a path"),
        (None, "must be a path"),
    ],
)
def test_what_can_never_be_a_path_is_refused_in_one_sentence(given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingError, match=f"--out.* {words}|--out {words}"):
        given_path(given, "--out")
