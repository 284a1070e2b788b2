"""All runs of a group learn from the same data, whatever lies under their name later."""

import json
import shutil
from pathlib import Path

import pytest
from offline_data import random_episodes, write

import frankrl
from frankrl.config.presets import load_preset
from frankrl.core.errors import RunFolderError, SettingError
from frankrl.datasets import lasting_name, open_dataset
from frankrl.runs.group import RunGroup
from frankrl.seeds.train import HowToTrain, resume_seeds, train_seeds

pytest.importorskip("h5py")
NAME = "cart/random-v0"
CHANGES = {"total_updates": 50, "batch_size": 8, "hidden_widths": (4,)}


@pytest.fixture
def group(tmp_path, monkeypatch):
    """A group that learns from a data set, named from the working folder; no run has begun."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.chdir(tmp_path)
    write(NAME, tmp_path / "data", "CartPole-v1", random_episodes("CartPole-v1", 3))
    settings = load_preset("default").with_changes(dataset=f"data/{NAME}", **CHANGES)
    settings = settings.with_changes(
        evaluate_every_updates=None, final_evaluation_episodes=None, evaluation_envs=1
    )
    how = HowToTrain(print_command=lambda line: None)
    assert train_seeds("CartPole-v1", "default", settings, (0, 1), "group", how) is None
    return tmp_path / "group"


def go_on(path):
    return resume_seeds(RunGroup.open(path), HowToTrain(print_command=lambda line: None))


def exchange(folder):
    shutil.rmtree(folder / "data" / NAME)
    write(NAME, folder / "data", "CartPole-v1", random_episodes("CartPole-v1", 3, seed=1))


def test_a_group_names_its_data_by_place_and_content(group, tmp_path):
    about = RunGroup.open(group).description
    assert about.settings.data.dataset == str(tmp_path / "data" / NAME)
    assert about.data.digest == open_dataset(tmp_path / "data" / NAME).digest
    assert json.loads((group / "group.json").read_text())["learned_data"]["name"] == NAME


def test_a_group_goes_on_from_another_working_folder(group, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # Other data that have the name as it was typed.
    write(NAME, tmp_path / "elsewhere/data", "CartPole-v1", random_episodes("CartPole-v1", 2))
    assert go_on(group) is None


@pytest.mark.parametrize("is_gone", [False, True])
def test_other_data_under_the_name_are_refused(is_gone, group, tmp_path):
    exchange(tmp_path)
    if is_gone:
        shutil.rmtree(tmp_path / "data" / NAME)
    message = "have yet to begin: there is no data set" if is_gone else "holds other data now"
    with pytest.raises(RunFolderError, match=message):
        go_on(group)


def test_a_run_that_has_learned_from_other_data_is_named(group, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "data" / NAME, kept)
    exchange(tmp_path)
    frankrl.train(
        "CartPole-v1", preset="default", seed=1, out=group / "s1", progress=False,
        dataset=str(tmp_path / "data" / NAME), evaluate_every_updates=None,
        final_evaluation_episodes=None, **CHANGES,
    )  # fmt: skip
    shutil.rmtree(tmp_path / "data" / NAME)
    kept.rename(tmp_path / "data" / NAME)
    with pytest.raises(RunFolderError, match=r"s1 has learned from other data than the group's"):
        go_on(group)


def test_a_name_in_minaris_folder_lasts_as_it_is(group, tmp_path):
    write(NAME, tmp_path / "minari", "CartPole-v1", random_episodes("CartPole-v1", 1))
    assert lasting_name(NAME) == NAME
    assert lasting_name(f"data/{NAME}") == str(tmp_path / "data" / NAME)


@pytest.mark.parametrize("part", ["metadata.json", "main_data.hdf5"])
def test_what_may_not_be_read_is_said_to_be_so(part, group, tmp_path, monkeypatch):
    """A superuser may read everything, so the refusal of the system is made here."""
    opened = Path.open

    def refused(path, *how, **named):
        if path.name == part:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *how, **named)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(SettingError, match="cannot be read: Permission denied") as caught:
        open_dataset(tmp_path / "data" / NAME)
    assert "damaged" not in str(caught.value)


def test_a_folder_that_may_not_be_looked_into_is_no_traceback(group, tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.is_file", refused)
    with pytest.raises(SettingError, match=r"cannot be read: Permission denied: .*metadata\.json"):
        open_dataset(tmp_path / "data" / NAME)
