"""What a sweep has found: the best trial, its preset, tables."""

import csv
import dataclasses
import json

import pytest

from frankrl.config.presets import load_preset
from frankrl.core.errors import RunFolderError
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.objectives import OBJECTIVES
from frankrl.sweeps.results import SweepResult, as_csv, as_preset, best_of
from frankrl.sweeps.space import space_of
from frankrl.sweeps.trial import Trial, read_trials, write_trial
from sweeps.pretended import definition_of

SETTINGS = {"learning_rate": 0.1 + 0.2, "hidden_widths": [16, 16]}
TRIALS = [
    Trial(0, SETTINGS, "complete", 5.0, (4.0, 6.0), ("runs/0000-s100", "runs/0000-s101")),
    Trial(1, SETTINGS | {"hidden_widths": [8]}, "complete", 7.0, (7.0, 7.0)),
    Trial(2, SETTINGS, "pruned", 99.0, (99.0,), reason="pruned by median"),
    Trial(3, SETTINGS, "complete", 7.0, (6.0, 8.0)),
    Trial(4, SETTINGS, "failed", reason="training | diverged"),
    Trial(5, SETTINGS, runs=("runs/0005-s100",)),
]


def test_the_best_trial_is_whole_and_of_equal_ones_the_first():
    assert best_of(TRIALS, OBJECTIVES["final_return"]).number == 1
    assert best_of(TRIALS, OBJECTIVES["env_steps_to_solved"]).number == 0
    assert best_of(TRIALS[4:], OBJECTIVES["final_return"]) is None


@pytest.mark.parametrize("preset", ["default", "LunarLander-v3", "rainbow", "classic"])
def test_the_preset_of_a_trial_gives_its_settings_back(tmp_path, preset):
    space = space_of(
        {
            "learning_rate": {"low": 1e-4, "high": 1},
            "hidden_widths": {"choices": [[8], [16, 16]]},
            "max_gradient_norm": {"choices": ["none", 1]},
            "learning_rate_end": {"choices": ["none", 1e-5]},
        }
    )
    base = load_preset(preset).with_changes(total_env_steps=12_345, normalize_rewards=True)
    own = tmp_path / "own.toml"
    own.write_text(f'base = "{preset}"\n[learning]\ngamma = 0.5\n')
    for name, settings in ((preset, base), (str(own), load_preset(str(own)))):
        definition = dataclasses.replace(definition_of(space=space), preset=name, settings=settings)
        for norm, end in ((None, 1e-5), (1.0, None)):
            changes = {"max_gradient_norm": norm, "learning_rate_end": end}
            trial = Trial(0, SETTINGS | changes, "complete", 5.0, (5.0,))
            (tmp_path / "best.toml").write_text(as_preset(definition, trial))
            found = load_preset(str(tmp_path / "best.toml"))
            assert found == settings.with_changes(**trial.settings)
            lines = (tmp_path / "best.toml").read_text().splitlines()
            assert (f'base = "{preset}"' in lines) == (name == preset)


def test_the_table_for_spreadsheets_has_every_number_in_full():
    rows = list(csv.DictReader(as_csv(definition_of(), TRIALS).splitlines()))
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert rows[0]["learning_rate"] == "0.30000000000000004"
    assert rows[0]["hidden_widths"] == "[16, 16]"
    assert (rows[0]["seed 100"], rows[0]["seed 101"]) == ("4.0", "6.0")
    assert (rows[2]["final_return"], rows[2]["seed 101"]) == ("99.0", "")
    assert rows[4]["reason"] == "training | diverged"


@pytest.fixture
def folder(tmp_path):
    folder = SweepFolder(tmp_path)
    folder.trials.mkdir()
    for trial in TRIALS:
        write_trial(folder.trials, trial)
    space = {
        "learning_rate": {"low": 1e-4, "high": 1},
        "hidden_widths": {"choices": [[8], [16, 16]]},
    }
    plain = definition_of(space=space_of(space)).to_plain() | {"trials": 8}
    folder.definition.write_text(json.dumps(plain))
    return folder


def test_a_folder_is_shown_as_it_stands(folder):
    result = SweepResult.of_folder(folder)
    assert result.trials == TRIALS
    assert not result.is_complete
    assert result.summary() == (
        "5 of 8 trials over (3 complete, 1 pruned, 1 failed); best: trial 1, final_return 7"
    )
    lines = result.markdown().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["1", "3", "0", "2", "5", "4"]
    plain = result.to_plain()
    assert plain["best"]["number"] == 1
    assert [trial["state"] for trial in plain["trials"]] == [trial.state for trial in TRIALS]
    assert "seconds" not in json.dumps(plain)
    assert plain["repeatable"] is True


def test_an_objective_that_depends_on_the_clock_says_so(folder):
    plain = json.loads(folder.definition.read_text())
    plain |= {"objective": "seconds_to_solved", "direction": "minimize"}
    folder.definition.write_text(json.dumps(plain))
    result = SweepResult.of_folder(folder)
    assert "seconds_to_solved depends on the machine" in result.summary()
    assert result.to_plain()["repeatable"] is False


def test_what_a_file_says_cannot_steer_the_terminal(folder):
    write_trial(folder.trials, dataclasses.replace(TRIALS[4], reason="\x1b[0m" * 99 + "|\n"))
    table = SweepResult.of_folder(folder).markdown()
    assert "\x1b" not in table
    assert len({line.count("|") for line in table.splitlines()}) == 1
    assert len(table.splitlines()) == 2 + len(TRIALS)
    plain = json.loads(folder.definition.read_text())
    plain["space"]["a\x1b[2Jb|c"] = {}
    folder.definition.write_text(json.dumps(plain))
    with pytest.raises(RunFolderError, match="unknown setting") as error:
        SweepResult.of_folder(folder)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"learning_rate": 0.1},
        SETTINGS | {"wrappers": ["evil:Wrapper"]},
        SETTINGS | {"num_envs": 10_000},
        SETTINGS | {"learning_rate": 1.5},
        SETTINGS | {"learning_rate": 1},
        SETTINGS | {"learning_rate": "0.1"},
        SETTINGS | {"learning_rate": None},
        SETTINGS | {"hidden_widths": [4_096]},
        SETTINGS | {"hidden_widths": "[8]"},
    ],
)
def test_a_trial_with_settings_outside_of_the_space_is_damaged(folder, settings):
    path = folder.trials / "0005.json"
    path.write_text(json.dumps(TRIALS[5].to_plain() | {"settings": settings}))
    space = space_of(json.loads(folder.definition.read_text())["space"])
    with pytest.raises(RunFolderError, match="do not lie in the space that is searched; remove it"):
        folder.read_trials(space)
    with pytest.raises(RunFolderError, match="space that is searched"):
        SweepResult.of_folder(folder)


def test_trials_come_back_from_their_files(folder):
    assert list(read_trials(folder.trials).values()) == TRIALS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"number": 1}, "number of another one"),
        ({"runs": ["../../etc"]}, "runs lie elsewhere"),
        ({"runs": ["/etc"]}, "runs lie elsewhere"),
        ({"state": "done"}, "no state"),
        ({"value": None}, "value does not fit"),
        ({"value": "x"}, "a number is missing"),
        ({"values": [float("nan")]}, "a number is missing"),
        ({"settings": []}, "no state or no settings"),
        ({"settings": {"tau": float("inf")}}, "not JSON compliant"),
        ({"values": [10**400]}, "too large"),
        ({"intermediate": [[[1, 2, 3]]]}, "too many values"),
        ({"other": 1}, "entries of a trial"),
    ],
)
def test_a_damaged_trial_is_named(folder, change, reason):
    path = folder.trials / "0000.json"
    path.write_text(json.dumps(TRIALS[0].to_plain() | change))
    with pytest.raises(RunFolderError, match=reason) as error:
        read_trials(folder.trials)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"env_id": 3}', "[" * 100_000])
def test_a_damaged_definition_is_named(folder, text):
    folder.definition.write_text(text)
    with pytest.raises(RunFolderError, match=r"sweep\.json is damaged"):
        SweepResult.of_folder(folder)


def test_a_folder_without_a_sweep_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="is no sweep"):
        SweepResult.of_folder(SweepFolder(tmp_path / "none"))
