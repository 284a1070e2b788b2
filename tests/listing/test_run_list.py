"""The runs below a folder as a list."""

import json
from html.parser import HTMLParser

import pytest
import scipy.stats
from dashboard_runs import make_group, make_run, write_metrics

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankError

HOSTILE = "<script>alert(1)"


@pytest.fixture
def root(tmp_path):
    learned = make_run(tmp_path / "cart" / "one", seed=3, total_env_steps=5_000)
    write_metrics(
        learned,
        training={"env_steps": [1_000, 2_000], "updates": [900, 1_900], "mean_return_100": [9, 21]},
        episodes={"env_steps": [1_990, 2_000], "episode_return": [20, 22], "length": [20, 22]},
    )
    report = {"env_steps": 2_000, "stopped": True, "solved": None, "evaluation": None}
    (learned.path / "report.json").write_text(json.dumps(report))
    make_run(tmp_path / HOSTILE, seed=4)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.toml").write_text("odd = ")
    return tmp_path


def test_runs_are_listed_with_what_is_known_of_them(root):
    runs = {run.path.name: run for run in frankrl.list_runs(root)}
    one = runs["one"]
    assert (one.env_id, one.preset, one.seed) == ("CartPole-v1", "default", 3)
    assert (one.env_steps, one.total_env_steps, one.updates) == (2_000, 5_000, 1_900)
    assert (one.state, one.mean_return, one.final_return) == ("stopped", 21.0, None)
    assert runs[HOSTILE].state == "not started"
    assert runs["odd"].state == "unreadable"
    assert "damaged" in runs["odd"].error


def test_a_list_prints_as_a_table_and_a_notebook_gets_it_escaped(root):
    runs = frankrl.list_runs(root)
    head, names, *rows, why = repr(runs).splitlines()
    assert head == f"3 runs below {root}"
    assert len(rows) == len(runs) == 3
    assert why.startswith("odd: ")
    assert "damaged" in why
    assert names.split()[:3] == ["run", "environment", "preset"]
    assert any("2,000 of 5,000" in row and row.startswith("cart/one") for row in rows)
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)
    parser.feed(runs._repr_html_())
    assert tags.count("tr") == 4
    assert "script" not in tags


def test_a_folder_without_runs_is_an_empty_list_and_no_folder_is_a_mistake(tmp_path):
    assert len(frankrl.list_runs(tmp_path)) == 0
    assert repr(frankrl.list_runs(tmp_path)) == f"0 runs below {tmp_path}"
    with pytest.raises(FrankError, match="there is no folder"):
        frankrl.list_runs(tmp_path / "none")


def test_the_runs_of_several_seeds_are_one_line_and_their_own_folder_lists_them(root, capsys):
    group = make_group(root / "seeds", range(6), total_env_steps=5_000)
    assert line_of(root, "seeds").state == "not started"
    returns = [10.0, 20.0, 30.0, 40.0, 50.0, 600.0]
    for seed, mean in enumerate(returns):
        run = make_run(group.path_of(seed), seed=seed, total_env_steps=5_000)
        write_metrics(run, training={"env_steps": [1_000 + seed], "updates": [seed]})
        run.write_report(
            {"env_steps": 1_000 + seed, "solved": None, "evaluation": {"mean_return": mean}}
        )
    one = line_of(root, "seeds")
    assert (one.seeds, one.seed, one.state, one.env_steps) == (group.seeds, None, "finished", 1_000)
    assert one.final_return == pytest.approx(scipy.stats.trim_mean(returns, 0.25))
    assert one.final_return_spread > 0
    assert [run.seed for run in frankrl.list_runs(group.path)] == list(range(6))
    assert frank(["runs", str(root), "--seed", "5", "--where", "final_return>30"]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert "0–5" in line
    (group.path / "group.json").write_text("{")
    assert line_of(root, "seeds").state == "unreadable"


def line_of(root, name):
    (one,) = [run for run in frankrl.list_runs(root) if run.path.name == name]
    return one


def test_the_runs_of_a_group_are_found_however_deep_the_group_lies(tmp_path):
    group = make_group(tmp_path / "one" / "two" / "three" / "seeds", range(2), total_env_steps=500)
    for seed in range(2):
        run = make_run(group.path_of(seed), seed=seed, total_env_steps=500)
        write_metrics(run, training={"env_steps": [300 + seed], "updates": [seed]})
    (listed,) = frankrl.list_runs(tmp_path)
    assert (listed.seeds, listed.env_steps) == (group.seeds, 300)


@pytest.mark.parametrize("rows", [[], [100]])
def test_a_run_that_does_not_act_has_done_as_many_updates_as_its_clock_says(tmp_path, rows, capsys):
    run = make_run(tmp_path / "off", dataset="data/cart/medium-v0", total_updates=300)
    write_metrics(run, training={"env_steps": rows, "updates": rows})
    run.write_report({"env_steps": 300, "stopped": False, "solved": None, "evaluation": None})
    make_run(tmp_path / "acts")
    assert frank(["runs", str(tmp_path), "--json"]) == 0
    acts, off = map(json.loads, capsys.readouterr().out.splitlines())
    assert (off["clock"], off["env_steps"], off["updates"]) == ("updates", 300, 300)
    assert (acts["clock"], acts["updates"]) == ("env steps", 0)
