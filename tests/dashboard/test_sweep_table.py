"""Sweeps as the page gets them."""

import json
import shutil

import pytest
from dashboard_runs import make_run
from dashboard_sweeps import add_trial, made_up_trial, make_sweep

from frankrl.core.errors import RunFolderError
from frankrl.dashboard.run_table import RunTable
from frankrl.sweeps.space import Choices, Range
from frankrl.sweeps.trial import Trial


def sweeps(run_table, since=-1):
    """The sweeps by name, or None if none has changed."""
    run_table.refresh()
    found = json.loads(run_table.rows_since(since)[1])["sweeps"]
    return found if found is None else {sweep["name"]: sweep for sweep in found}


def payload(run_table, name):
    return json.loads(run_table.sweeps.payload(sweeps(run_table)[name]["id"]))


def test_sweeps_are_listed_beside_runs(tmp_path):
    make_sweep(tmp_path / "lander" / "first", trials=30, made=20)
    make_run(tmp_path / "lander" / "first" / "runs" / "0000-s100")
    make_run(tmp_path / "alone")
    run_table = RunTable(tmp_path)
    (sweep,) = sweeps(run_table).values()
    assert sweep["name"] == "lander/first"
    assert not sweep["is_root"]
    assert sweep["trials"] == 30
    assert sweep["states"] == {"complete": 16, "pruned": 2, "failed": 2, "running": 0}
    values = {n: made_up_trial(n).value for n in range(20) if n % 10 not in (7, 8)}
    assert sweep["best"] == max(values, key=values.__getitem__)
    names = {row["name"] for row in json.loads(run_table.rows_since(-1)[1])["rows"]}
    assert names == {"alone", "lander/first/runs/0000-s100"}


def test_the_folder_of_a_sweep_can_be_shown_itself(tmp_path):
    make_sweep(tmp_path / "first")
    assert sweeps(RunTable(tmp_path / "first"))["first"]["is_root"]


def test_only_changed_sweeps_are_sent_and_only_changed_records_are_read(tmp_path, monkeypatch):
    make_sweep(tmp_path / "sweep", made=5)
    run_table = RunTable(tmp_path)
    change = sweeps(run_table)["sweep"]["change"]
    read = []
    from frankrl.dashboard import sweep_table

    original = sweep_table.read_trial
    monkeypatch.setattr(sweep_table, "read_trial", lambda path: read.append(path) or original(path))
    seen = run_table.change
    assert sweeps(run_table, seen) is None
    add_trial(tmp_path / "sweep", Trial(5, {}))
    after = sweeps(run_table, seen)["sweep"]
    assert after["states"]["running"] == 1
    assert after["change"] > change
    assert [path.name for path in read] == ["0005.json"]
    seen = run_table.change
    add_trial(tmp_path / "sweep", made_up_trial(5))
    assert sweeps(run_table, seen)["sweep"]["states"]["running"] == 0
    shutil.rmtree(tmp_path / "sweep")
    assert sweeps(run_table, run_table.change) == {}


def test_settings_and_values_have_their_places_on_their_axes(tmp_path):
    make_sweep(tmp_path / "sweep", made=0)
    tried = {"learning_rate": 1e-3, "epsilon_decay_env_steps": 3_000, "double": False}
    add_trial(tmp_path / "sweep", Trial(0, tried, "complete", 10.0, (9.0, 11.0)))
    elsewhere = {"learning_rate": 1.0, "double": 1}
    add_trial(tmp_path / "sweep", Trial(1, elsewhere, "complete", 20.0))
    add_trial(tmp_path / "sweep", Trial(2, tried, "pruned", 12.5, reason="slow"))
    found = payload(RunTable(tmp_path), "sweep")
    names = [axis["name"] for axis in found["axes"]]
    assert names == ["learning_rate", "epsilon_decay_env_steps", "double"]
    assert found["axes"][0]["marks"] == [[0, "1e-05"], [0.5, "0.001"], [1, "0.1"]]
    assert found["axes"][2]["marks"] == [[0, "true"], [1, "false"]]
    first, second, third = found["trials"]
    assert first["places"] == pytest.approx([0.5, 0.25, 1])
    assert first["values"] == ["9", "11"]
    # A value outside of the space, a missing one, and 1, which is not true.
    assert second["places"] == [None, None, None]
    assert [trial["place"] for trial in (first, second, third)] == [0, 1, 0.25]
    assert [trial["colour"] for trial in (first, second, third)] == [0, 1, None]
    assert found["value_axis"] == found["complete"] == ["10", "20"]
    add_trial(tmp_path / "sweep", Trial(3, tried, "pruned", 5.0, reason="slow"))
    found = payload(RunTable(tmp_path), "sweep")
    # Colours are of the complete trials; the axis is of all values.
    assert (found["value_axis"], found["complete"]) == (["5", "20"], ["10", "20"])
    assert [trial["colour"] for trial in found["trials"]] == [0, 1, None, None]
    assert found["best_so_far"] == [[0, 1, 3], [10, 20, 20]]


@pytest.mark.parametrize(
    ("objective", "best", "curve", "axis"),
    [
        ("final_return", 2, [3, 3, 9], ["1", "9"]),
        ("env_steps_to_solved", 1, [3, 1, 1], ["9", "1"]),
    ],
)
def test_best_so_far_follows_the_direction(tmp_path, objective, best, curve, axis):
    make_sweep(tmp_path / "sweep", made=0, objective=objective)
    for number, value in enumerate((3.0, 1.0, 9.0)):
        add_trial(tmp_path / "sweep", Trial(number, {}, "complete", value))
    found = payload(RunTable(tmp_path), "sweep")
    assert found["best"] == best
    assert found["best_so_far"] == [[0, 1, 2], curve]
    assert found["value_axis"] == axis
    assert found["trials"][best]["place"] == 1


def test_the_first_of_equal_trials_is_the_best_and_a_pruned_one_never(tmp_path):
    make_sweep(tmp_path / "sweep", made=0)
    values = (("pruned", 99.0), ("complete", 9.0), ("complete", 8.0), ("complete", 9.0))
    for number, (state, value) in enumerate(values):
        add_trial(tmp_path / "sweep", Trial(number, {}, state, value))
    found = payload(RunTable(tmp_path), "sweep")
    assert found["best"] == 1
    assert found["best_so_far"] == [[1, 2, 3], [9, 9, 9]]


def test_a_trial_links_to_its_runs(tmp_path):
    make_sweep(tmp_path / "sweep", made=1)
    make_run(tmp_path / "sweep" / "runs" / "0000-s100", seed=100)
    run_table = RunTable(tmp_path)
    (trial,) = payload(run_table, "sweep")["trials"]
    (row,) = json.loads(run_table.rows_since(-1)[1])["rows"]
    assert trial["runs"][0] == ["seed 100", row["id"]]
    assert trial["runs"][1][0] == "seed 101"


def test_a_damaged_record_is_told_and_hides_no_trial(tmp_path):
    make_sweep(tmp_path / "sweep", made=3)
    (tmp_path / "sweep" / "trials" / "0001.json").write_text("{")
    found = payload(RunTable(tmp_path), "sweep")
    assert [trial["number"] for trial in found["trials"]] == [0, 2]
    assert "is damaged" in found["damaged"]["0001.json"]
    assert found["num_damaged"] == 1


def test_a_damaged_definition_is_told_and_hides_no_other_sweep(tmp_path):
    make_sweep(tmp_path / "good", made=1)
    make_sweep(tmp_path / "bad", made=1)
    (tmp_path / "bad" / "sweep.json").write_text('{"space": 1}')
    run_table = RunTable(tmp_path)
    found = sweeps(run_table)
    assert "is damaged" in found["bad"]["error"]
    assert found["good"]["error"] == ""
    with pytest.raises(RunFolderError, match="is damaged"):
        run_table.sweeps.payload(found["bad"]["id"])
    with pytest.raises(RunFolderError, match="no such sweep"):
        run_table.sweeps.payload("../good")


def test_importance_is_told_from_the_complete_trials(tmp_path):
    make_sweep(tmp_path / "sweep", trials=60)
    found = payload(RunTable(tmp_path), "sweep")["importance"]
    assert found["trials"] == 48
    first, *others = found["rows"]
    assert first["name"] == "learning_rate"
    assert first["share"] > 0.5 > max(row["share"] for row in others)
    make_sweep(tmp_path / "few", made=5)
    few = payload(RunTable(tmp_path), "few")["importance"]
    assert [row["share"] for row in few["rows"]] == [None] * 3


def test_a_range_of_one_value_and_one_choice_lie_in_the_middle(tmp_path):
    one = {"n_step": Range(3, 3), "loss": Choices(("mse",)), "hidden_widths": Choices(((8, 4),))}
    make_sweep(tmp_path / "sweep", made=0, space=one)
    tried = {"n_step": 3, "loss": "mse", "hidden_widths": [8, 4]}
    add_trial(tmp_path / "sweep", Trial(0, tried))
    found = payload(RunTable(tmp_path), "sweep")
    assert found["trials"][0]["places"] == [0.5, 0.5, 0.5]
    assert found["value_axis"] == []
    assert found["best"] is None


def test_of_very_many_trials_the_first_ones_are_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("frankrl.dashboard.sweep_table.MAX_TRIALS", 3)
    make_sweep(tmp_path / "sweep", made=4)
    found = payload(RunTable(tmp_path), "sweep")
    assert ([trial["number"] for trial in found["trials"]], found["limit"]) == ([0, 1, 2], 3)
    make_sweep(tmp_path / "whole", made=3)
    assert payload(RunTable(tmp_path), "whole")["limit"] == 0
