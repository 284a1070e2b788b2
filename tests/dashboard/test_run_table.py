import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from dashboard_runs import GONE, make_group, make_run, write_metrics

from frankrl.core.errors import RunFolderError, SettingError
from frankrl.core.score import score
from frankrl.dashboard.run_table import RunTable
from frankrl.runs import RunFolder, RunLock


@pytest.fixture
def run_table(tmp_path):
    return RunTable(tmp_path)


def rows(run_table, since=-1):
    """The changed rows by name."""
    run_table.refresh()
    return {row["name"]: row for row in json.loads(run_table.rows_since(since)[1])["rows"]}


def test_runs_are_found_at_any_depth_that_people_use_and_links_are_not_followed(
    run_table, tmp_path
):
    for name in ("a", "env/b", "x/y/z/c", "too/deep/for/any/run", ".hidden/d"):
        make_run(tmp_path / name)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    make_run(outside / "secret")
    (tmp_path / "link").symlink_to(outside)
    assert set(rows(run_table)) == {"a", "env/b", "x/y/z/c"}


def test_a_run_folder_itself_can_be_shown(tmp_path):
    run = make_run(tmp_path / "alone")
    assert set(rows(RunTable(run.path))) == {"alone"}


def test_a_row_has_the_description_and_the_progress_of_a_run(run_table, tmp_path):
    run = make_run(tmp_path / "run", seed=7, total_env_steps=9_000)
    columns = {"env_steps": [100, 200], "updates": [0, 50], "mean_return_100": [None, 21.5]}
    write_metrics(run, training=columns)
    row = rows(run_table)["run"]
    assert (row["env_id"], row["preset"], row["seed"]) == ("CartPole-v1", "default", 7)
    assert (row["env_steps"], row["total_env_steps"], row["updates"]) == (200, 9_000, 50)
    assert row["last_return"] == 21.5


def test_the_status_of_a_run_follows_from_its_lock_and_report(run_table, tmp_path):
    run = make_run(tmp_path / "run")
    assert rows(run_table)["run"]["state"] == "not started"
    lock = RunLock(run.path, run.path)
    assert rows(run_table)["run"]["state"] == "running"
    lock.release()
    (run.path / ".lock").write_text(GONE)
    assert rows(run_table)["run"]["state"] == "broken off"
    report = {
        "env_steps": 310,
        "solved": {"env_steps": 300, "seconds": 1.0},
        "evaluation": {"mean_return": 480.0},
    }
    run.write_report(report)
    row = rows(run_table)["run"]
    assert (row["state"], row["solved_at"], row["final_return"]) == ("finished", 300, 480.0)
    run.write_report({"env_steps": 310, "stopped": True, "solved": None, "evaluation": None})
    assert rows(run_table)["run"]["state"] == "stopped"
    # It has gone on since, and was killed.
    write_metrics(run, training={"env_steps": [400]})
    assert rows(run_table)["run"]["state"] == "broken off"


def test_a_copied_run_has_the_status_of_the_original(run_table, root, tmp_path):
    shutil.copytree(root / "cart" / "s0", tmp_path / "copy", copy_function=shutil.copyfile)
    (tmp_path / "copy" / ".lock").write_text(GONE)
    assert rows(run_table)["copy"]["state"] == "finished"


def test_reading_the_status_takes_no_lock(run_table, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    RunLock(run.path, run.path).release()
    before = os.stat(run.path / ".lock").st_mtime_ns

    def refuse(*_):
        raise AssertionError("somebody would have to wait")

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", refuse)
        assert rows(run_table)["run"]["state"] == "running"
    assert os.stat(run.path / ".lock").st_mtime_ns == before


def test_a_run_is_solved_once_a_long_evaluation_has_reached_the_threshold(run_table, tmp_path):
    run = make_run(tmp_path / "run")
    evaluations = {"env_steps": [100, 200, 300], "mean_return": [100.0, 476.0, 480.0]}
    write_metrics(run, evaluations=evaluations | {"purpose": ["solved"] * 3})
    assert rows(run_table)["run"]["solved_at"] == 200


def test_only_changed_rows_are_sent_again(run_table, tmp_path):
    one = make_run(tmp_path / "one")
    make_run(tmp_path / "other")
    assert set(rows(run_table)) == {"one", "other"}
    seen = run_table.change
    assert rows(run_table, seen) == {}
    write_metrics(one, training={"env_steps": [100]})
    assert set(rows(run_table, seen)) == {"one"}
    seen = run_table.change
    shutil.rmtree(one.path)
    run_table.refresh()
    payload = json.loads(run_table.rows_since(seen)[1])
    assert (len(payload["ids"]), payload["rows"]) == (1, [])


def test_a_damaged_run_has_an_error_and_the_others_are_shown(run_table, tmp_path):
    make_run(tmp_path / "good")
    bad = make_run(tmp_path / "bad")
    (bad.path / "config.toml").write_text("[run\n")
    by_name = rows(run_table)
    assert "damaged" in by_name["bad"]["error"]
    assert by_name["good"]["error"] == ""
    with pytest.raises(RunFolderError, match="damaged"):
        run_table.folder(by_name["bad"]["id"])


@pytest.mark.parametrize(
    "report",
    [
        "[]",
        "{",
        '{"solved": {"env_steps": []}}',
        '{"env_steps": "many"}',
        '{"evaluation": {}}',
        '{"env_steps": 1, "evaluation": {"mean_return": NaN}}',
        '{"env_steps": 1e999}',
        "[" * 100_000,
    ],
)
def test_an_odd_report_hides_no_other_run(run_table, tmp_path, report):
    make_run(tmp_path / "good")
    (make_run(tmp_path / "odd").path / "report.json").write_text(report)
    assert rows(run_table)["good"]["error"] == ""
    assert set(rows(run_table)) == {"good", "odd"}


@pytest.mark.parametrize("config", ["seed = " + "9" * 5_000, "a = " + "[" * 5_000])
def test_an_odd_configuration_hides_no_other_run(run_table, tmp_path, config):
    make_run(tmp_path / "good")
    (make_run(tmp_path / "odd").path / "config.toml").write_text(config)
    by_name = rows(run_table)
    assert by_name["good"]["error"] == ""
    assert by_name["odd"]["error"]


def test_metrics_with_a_number_that_is_none_hide_no_other_run(run_table, tmp_path):
    make_run(tmp_path / "good")
    columns = {"env_steps": [100], "mean_return_100": [float("inf")]}
    write_metrics(make_run(tmp_path / "odd"), training=columns)
    by_name = rows(run_table)
    assert by_name["good"]["error"] == ""
    assert "odd" in by_name["odd"]["error"]


def test_files_that_are_not_ordinary_are_neither_read_nor_waited_for(run_table, tmp_path):
    secret = write_metrics(make_run(tmp_path.parent / "elsewhere"), training={"env_steps": [777]})
    for name, place in (("pipe", ".lock"), ("pipes", "metrics.sqlite"), ("report", "report.json")):
        os.mkfifo(make_run(tmp_path / name).path / place)
    (make_run(tmp_path / "endless").path / ".lock").symlink_to("/dev/zero")
    (make_run(tmp_path / "link").path / "metrics.sqlite").symlink_to(secret.metrics)
    by_name = rows(run_table)
    assert set(by_name) == {"pipe", "pipes", "report", "endless", "link"}
    assert "no ordinary file" in by_name["link"]["note"]
    assert "no ordinary file" in by_name["pipes"]["note"]
    assert all(row.get("env_steps") != 777 for row in by_name.values())


def test_a_run_that_cannot_be_read_hides_no_other_curve(run_table, tmp_path):
    write_metrics(make_run(tmp_path / "good"), training={"env_steps": [100], "loss": [1.0]})
    make_run(tmp_path / "bad").metrics.write_bytes(b"no database" * 99)
    (make_run(tmp_path / "worse").path / "config.toml").write_text("[run\n")
    ids = tuple(row["id"] for row in rows(run_table).values())
    payload = json.loads(run_table.curves(ids, "env_steps", group=False))
    assert [one["label"] for one in payload["series"]] == ["good"]
    assert "cannot be read" in payload["unread"]["bad"]
    assert "damaged" in payload["unread"]["worse"]


def test_the_page_learns_when_not_all_runs_are_listed(run_table, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        make_run(tmp_path / name)
    run_table.refresh()
    assert json.loads(run_table.rows_since(-1)[1])["limit"] == 0
    monkeypatch.setattr("frankrl.listing.run_index.MAX_FOLDERS", 3)
    run_table.refresh()
    payload = json.loads(run_table.rows_since(-1)[1])
    assert (len(payload["ids"]), payload["limit"]) == (2, 1_000)


def test_a_run_in_the_working_directory_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(make_run(tmp_path / "alone").path)
    assert set(rows(RunTable(Path()))) == {"alone"}


def test_metrics_that_are_no_database_give_a_note(run_table, tmp_path):
    run = make_run(tmp_path / "run")
    run.metrics.write_bytes(b"no database, and longer than the header of one" * 9)
    assert "cannot be read" in rows(run_table)["run"]["note"]


def test_seeds_are_one_curve_with_its_spread(run_table, tmp_path):
    for seed, value in enumerate((1.0, 2.0, 6.0)):
        columns = {"env_steps": [100, 200], "updates": [1, 2], "loss": [value, value]}
        write_metrics(make_run(tmp_path / f"s{seed}", seed=seed), training=columns)
    columns = {"env_steps": [100, 200], "updates": [1, 2], "loss": [9.0, 9.0]}
    write_metrics(make_run(tmp_path / "other", gamma=0.5), training=columns)
    ids = tuple(row["id"] for row in rows(run_table).values())
    payload = json.loads(run_table.curves(ids, "env_steps", group=True))["series"]
    assert sorted(len(one["runs"]) for one in payload) == [1, 3]
    (band,) = (one for one in payload if len(one["runs"]) == 3)
    traces = band["traces"]["loss"]
    assert {name: y[0] for name, (_, y) in traces.items()} == {"smooth": 3, "low": 1, "high": 6}
    alone = json.loads(run_table.curves(ids, "env_steps", group=False))["series"]
    assert len(alone) == 4


def test_two_runs_of_one_seed_are_one_of_its_seeds(run_table, tmp_path):
    for name, seed, steps, value in (("a", 0, 200, 1.0), ("b", 0, 300, 2.0), ("c", 1, 200, 4.0)):
        columns = {"env_steps": [100, steps], "updates": [1, 2], "loss": [value, value]}
        write_metrics(make_run(tmp_path / name, seed=seed), training=columns)
    ids = tuple(row["id"] for row in rows(run_table).values())
    (band,) = json.loads(run_table.curves(ids, "env_steps", group=True))["series"]
    assert band["label"].endswith("(2 seeds)")
    traces = band["traces"]["loss"]
    # The run that has gone further stands for its seed.
    assert {name: y[0] for name, (_, y) in traces.items()} == {"smooth": 3, "low": 2, "high": 4}


def test_settings_are_laid_side_by_side(run_table, tmp_path):
    make_run(tmp_path / "a", gamma=0.9)
    make_run(tmp_path / "b", gamma=0.5, replay_sampling="prioritised")
    ids = {name: row["id"] for name, row in rows(run_table).items()}
    payload = json.loads(run_table.settings((ids["a"], ids["b"])))
    assert payload["runs"] == ["a", "b"]
    found = {row["name"]: row for row in payload["rows"]}
    assert (found["gamma"]["values"], found["gamma"]["differs"]) == (["0.9", "0.5"], True)
    # An idle setting has no value.
    assert found["priority_exponent"]["values"] == [None, "0.5"]
    assert not found["batch_size"]["differs"]
    assert "Discount" in found["gamma"]["meaning"]
    with pytest.raises(SettingError, match="at most 24 runs"):
        run_table.settings(("x",) * 25)


@pytest.mark.parametrize(
    ("returns", "text"),
    [([0.5, 1.5] * 50, "0.96"), ([-100.0, 100.0] * 50, "1"), ([0.956] * 100, "0.956")],
)
def test_the_training_return_has_as_many_digits_as_its_spread_allows(
    run_table, tmp_path, returns, text
):
    run = make_run(tmp_path / "run")
    # Earlier episodes do not count.
    steps = list(range(1, 131))
    episodes = {"env_steps": steps, "episode_return": [1e6] * 30 + returns, "length": [1] * 130}
    training = {"env_steps": [200], "mean_return_100": [0.956]}
    write_metrics(run, episodes=episodes, training=training)
    assert rows(run_table)["run"]["last_text"] == text


@pytest.mark.parametrize(
    ("evaluation", "text"),
    [
        ({"mean_return": 0.955, "interval_95": [0.94, 0.97]}, "0.955"),
        ({"mean_return": 263.12, "interval_95": [240.0, 280.0]}, "263"),
        ({"mean_return": 0.5}, "0.5"),
    ],
)
def test_the_final_return_has_as_many_digits_as_its_spread_allows(
    run_table, tmp_path, evaluation, text
):
    run = make_run(tmp_path / "run")
    run.write_report({"env_steps": 10, "solved": None, "evaluation": evaluation})
    row = rows(run_table)["run"]
    assert (row["final_return"], row["final_text"]) == (evaluation["mean_return"], text)


def test_what_is_not_there_is_refused(run_table, tmp_path):
    make_run(tmp_path / "run")
    run_table.refresh()
    with pytest.raises(RunFolderError, match="no such run"):
        run_table.curves(("../run",), "env_steps", group=False)
    with pytest.raises(SettingError, match="x must be one of"):
        run_table.curves((), "__class__", group=False)
    with pytest.raises(SettingError, match="at most 24 runs"):
        run_table.curves(("x",) * 25, "env_steps", group=False)


def test_the_runs_of_several_seeds_are_one_row_and_one_curve(run_table, tmp_path):
    group = make_group(tmp_path / "seeds", range(5))
    assert rows(run_table)["seeds"]["state"] == "not started"
    for seed in group.seeds:
        make_run(group.path_of(seed), seed=seed)
        steps = [100, 200, 300]
        write_metrics(
            RunFolder.open(group.path_of(seed)),
            training={"env_steps": steps, "loss": [seed, seed + 1, seed**2]},
        )
    changed = rows(run_table)
    assert set(changed) == {"seeds"}
    row = changed["seeds"]
    assert (row["seed"], row["env_steps"]) == ("0–4", 300)
    curves = json.loads(run_table.curves((row["id"],), "env_steps", group=False))
    (series,) = curves["series"]
    assert series["label"] == "seeds (5 seeds)"
    loss = series["traces"]["loss"]
    assert loss["smooth"][1][-1] == pytest.approx(score(np.arange(5.0) ** 2).middle)
    assert loss["low"][1][-1] <= loss["smooth"][1][-1] <= loss["high"][1][-1]
    assert json.loads(run_table.settings((row["id"],)))["runs"] == ["seeds"]
    with pytest.raises(RunFolderError, match="to look into one of them, start the dashboard"):
        run_table.folder(row["id"])
    assert rows(run_table, since=run_table.change) == {}
    assert set(rows(RunTable(group.path))) == {f"s{seed}" for seed in group.seeds}
