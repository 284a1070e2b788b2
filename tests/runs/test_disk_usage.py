"""Sizes of folders, against `du`."""

import os
import shutil
import subprocess

import pytest

from frankrl.runs.disk_usage import disk_usage


def by_du(*folders):
    printed = subprocess.run(
        ["du", "--summarize", "--total", "--block-size=1", *map(str, folders)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(printed.stdout.splitlines()[-1].split()[0])


@pytest.fixture
def tree(tmp_path):
    """Two folders; one file has a name in both, one has two names in the first."""
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "deep" / "er").mkdir(parents=True)
    other.mkdir()
    (one / "deep" / "er" / "large").write_bytes(b"x" * 100_000)
    (one / "small").write_bytes(b"x")
    (one / "shared").write_bytes(b"x" * 20_000)
    (one / "twice").write_bytes(b"x" * 40_000)
    os.link(one / "shared", other / "shared")
    os.link(one / "twice", one / "again")
    (one / "link").symlink_to("/usr")
    return tmp_path


@pytest.mark.skipif(not shutil.which("du"), reason="there is no du")
@pytest.mark.parametrize("names", [["one"], ["other"], ["one", "other"]])
def test_the_total_is_what_du_says(tree, names):
    folders = [tree / name for name in names]
    assert disk_usage(folders).total == by_du(*folders)


def test_what_is_freed_are_the_files_without_a_name_elsewhere(tree):
    one, other = tree / "one", tree / "other"
    shared = os.stat(one / "shared").st_blocks * 512
    total, freed = disk_usage([one])
    assert total - freed == shared
    assert disk_usage([other]).total - disk_usage([other]).freed == shared
    both = disk_usage([one, other])
    assert both.total == both.freed


def test_what_is_not_there_takes_nothing(tmp_path):
    assert disk_usage([tmp_path / "none"]) == (0, 0)
