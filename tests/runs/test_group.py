"""The folder of a group of runs."""

import json

import pytest

from frankrl.config import Settings
from frankrl.core.errors import RunFolderError
from frankrl.runs import RunDescription
from frankrl.runs.group import GROUP, RunGroup, is_group


def make_group(path, seeds=(3, 4), **settings):
    chosen = Settings().with_changes(**settings).resolved()
    return RunGroup.create(path, RunDescription("CartPole-v1", "default", 0, chosen), seeds)


def test_a_group_is_read_as_it_was_made(tmp_path):
    made = make_group(tmp_path / "group", gamma=0.9)
    assert is_group(made.path)
    read = RunGroup.open(made.path)
    assert read == made
    assert read.seeds == (3, 4)
    assert read.path_of(4) == made.path / "s4"
    assert read.begun() == []
    (made.path / "s4").mkdir()
    assert read.begun() == [made.path / "s4"]


def test_what_exists_is_not_replaced(tmp_path):
    make_group(tmp_path / "group")
    with pytest.raises(RunFolderError, match="holds the runs of several seeds already"):
        make_group(tmp_path / "group")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(RunFolderError, match="exists and is not a run"):
        make_group(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    make_group(tmp_path / "empty")


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 9},
        {"seeds": ["../../x"]},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [True]},
        {"env_id": 3},
        {"settings": {"learning": {"gamma": 7}}},
        {"settings": []},
        None,
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, changes):
    group = make_group(tmp_path / "group")
    file = group.path / GROUP
    plain = json.loads(file.read_text())
    file.write_text("{" if changes is None else json.dumps(plain | changes))
    with pytest.raises(RunFolderError, match="is damaged"):
        RunGroup.open(group.path)


def test_a_link_is_no_run_of_a_group(tmp_path):
    group = make_group(tmp_path / "group")
    (group.path / "s3").symlink_to(tmp_path)
    with pytest.raises(RunFolderError, match="is a link"):
        group.begun()
