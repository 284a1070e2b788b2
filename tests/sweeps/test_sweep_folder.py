"""The folder of a sweep: begun once, continued by the same command, refused to others."""

import dataclasses
import json

import pytest

from frankrl.core.errors import FrankWarning, RunFolderError, SettingError
from frankrl.sweeps import folder as folder_module
from frankrl.sweeps.folder import SweepFolder
from sweeps.pretended import definition_of


def opened(folder, definition, trials=5, *, lag_given=False):
    with folder.opened(definition, trials, lag_given=lag_given) as (found, _):
        return found


def test_a_sweep_is_begun_and_continued(tmp_path):
    folder, definition = SweepFolder(tmp_path / "a" / "sweep"), definition_of(lag=3)
    assert opened(folder, definition) == definition
    text = folder.definition.read_bytes()
    assert json.loads(text) == definition.to_plain() | {"seeds": [100, 101], "trials": 5} | {
        "settings": json.loads(json.dumps(definition.settings.to_tables()))
    }
    assert opened(folder, definition) == definition
    assert folder.definition.read_bytes() == text


def test_the_lag_is_that_with_which_the_sweep_began(tmp_path):
    folder = SweepFolder(tmp_path)
    opened(folder, definition_of(lag=3))
    assert opened(folder, definition_of(lag=8)).lag == 3
    with pytest.raises(RunFolderError, match=r"holds another sweep, with lag 3 \(here 8\)"):
        opened(folder, definition_of(lag=8), lag_given=True)


def test_more_trials_are_taken_and_fewer_are_not(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of()
    opened(folder, definition, 5)
    opened(folder, definition, 9)
    assert folder.read_definition().trials == 9
    with pytest.raises(SettingError, match="holds a sweep of 9 trials: give trials=9 or more"):
        opened(folder, definition, 5)


def test_every_difference_is_named(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of()
    opened(folder, definition)
    other = dataclasses.replace(
        definition_of(seeds=(5, 6), sampler="random", pruner="racing", objective="mean_return"),
        settings=definition.settings.with_changes(gamma=0.5),
        space={"learning_rate": definition.space["learning_rate"]},
        env_id="Acrobot-v1",
    )
    with pytest.raises(RunFolderError) as error:
        opened(folder, other)
    for part in (
        "env_id CartPole-v1 (here Acrobot-v1)",
        "objective final_return (here mean_return)",
        "seeds [100, 101] (here [5, 6])",
        "sampler tpe (here random)",
        "pruner none (here racing)",
        "gamma 0.99 (here 0.5)",
        "the search of hidden_widths choices ",
        "(here none)",
    ):
        assert part in str(error.value)
    assert "learning_rate" not in str(error.value)


def test_another_version_of_optuna_is_warned_of(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of()
    opened(folder, definition)
    newer = dataclasses.replace(definition, versions={"optuna": "1"})
    with pytest.warns(FrankWarning, match="begun with optuna 0; trials that are drawn from here"):
        assert opened(folder, newer).versions == {"optuna": "0, 1"}
    # Trials of both are there now, so each of them is another version.
    for version in ("0", "1"):
        again = dataclasses.replace(definition, versions={"optuna": version})
        with pytest.warns(FrankWarning, match="begun with optuna 0, 1; trials"):
            assert opened(folder, again).versions == {"optuna": "0, 1"}


def test_two_processes_cannot_do_one_sweep(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of()
    with (
        folder.opened(definition, 5, lag_given=False),
        pytest.raises(RunFolderError, match="are being written by process"),
    ):
        opened(folder, definition)


@pytest.mark.parametrize("is_written", [False, True])
def test_a_sweep_that_is_killed_as_it_begins_is_begun(tmp_path, monkeypatch, is_written):
    folder, definition = SweepFolder(tmp_path), definition_of()
    real = folder_module.replace_durably

    class Killed(BaseException):
        pass

    def killed(path, content):
        path.with_name(f".{path.name}.new").write_bytes(content[:9])
        if is_written:
            real(path, content)
        raise Killed

    monkeypatch.setattr(folder_module, "replace_durably", killed)
    with pytest.raises(Killed):
        opened(folder, definition)
    monkeypatch.setattr(folder_module, "replace_durably", real)
    assert opened(folder, definition) == definition


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"holds other files and no sweep \(notes\.txt\)"):
        opened(SweepFolder(tmp_path), definition_of())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(RunFolderError, match="cannot be written: Not a directory"):
        opened(SweepFolder(tmp_path / "notes.txt" / "sweep"), definition_of())


@pytest.mark.parametrize("name", ["trials", "runs", "jobs", "published", ".driver"])
def test_a_folder_that_is_a_link_is_refused_before_anything_is_written(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    folder = SweepFolder(tmp_path / "sweep")
    opened(folder, definition_of())
    there = folder.path / name
    if there.exists():
        there.rename(tmp_path / "moved")
    there.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="is a link, and a sweep writes only into its own"):
        opened(folder, definition_of())
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("settings", [{"zz": 3}, {"learning": []}, [], None])
def test_odd_settings_in_a_definition_are_damage(tmp_path, settings):
    folder = SweepFolder(tmp_path)
    opened(folder, definition_of())
    plain = json.loads(folder.definition.read_text())
    folder.definition.write_text(json.dumps(plain | {"settings": settings}))
    with pytest.raises(RunFolderError, match="is damaged"):
        opened(folder, definition_of())
