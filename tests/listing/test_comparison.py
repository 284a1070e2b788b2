"""Runs side by side."""

import dataclasses

import pytest
from dashboard_runs import make_run, write_metrics

import frankrl
from frankrl.core.errors import RunFolderError, SettingError


@pytest.fixture
def pair(tmp_path):
    one = make_run(tmp_path / "one", seed=1, learning_rate=1e-3, gamma=0.9)
    other = make_run(tmp_path / "<b>other", seed=1, learning_rate=3e-4, gamma=0.9)
    write_metrics(
        one,
        training={"env_steps": [100, 200], "mean_return_100": [5.0, 10.0]},
        evaluations={
            "env_steps": [50, 100, 150],
            "mean_return": [30.0, 70.0, 60.0],
            "purpose": ["progress"] * 3,
        },
        timing={
            "env_steps": [100, 200],
            "seconds": [1.0, 4.0],
            "env_steps_per_second": [100.0, 33.0],
        },
        not_reproducible={"env_steps": [120], "reason": ["a worker died"]},
    )
    evaluation = {"mean_return": 80.0, "interval_95": [70.0, 90.0]}
    one.write_report({"env_steps": 200, "stopped": False, "solved": None, "evaluation": evaluation})
    described = dataclasses.replace(
        other.description, versions={"jax": "0.1"}, machine={"cpu": "another"}
    )
    other.with_description(described)
    return [one.path, other.path]


def test_what_differs_and_what_came_out_stand_side_by_side(pair):
    comparison = frankrl.compare_runs(pair)
    assert comparison.settings == {"learning_rate": ("0.001", "0.0003")}
    assert comparison.versions == {"jax": (None, "0.1")}
    assert comparison.machine == {"cpu": (None, "another")}
    results = {name: values[0] for name, values in comparison.results.items()}
    assert results == {
        "state": "finished",
        "clock": "env steps",
        "env_steps": 200,
        "mean_return": 10.0,
        "best_return": 70.0,
        "final_return": 80.0,
        "final_return_spread": 10.0,
        "solved_at": None,
        "seconds": 4.0,
        "env_steps_per_second": 50.0,
        "not_reproducible": "from env step 120 on: a worker died",
    }
    assert comparison.results["state"][1] == "not started"
    assert comparison.results["seconds"][1] is None


def test_a_comparison_prints_as_a_table_and_a_notebook_gets_it_escaped(pair):
    comparison = frankrl.compare_runs(pair)
    lines = repr(comparison).splitlines()
    assert lines[:2] == [f"1  {pair[0]}", f"2  {pair[1]}"]
    (rate,) = [line for line in lines if line.startswith("learning_rate")]
    assert rate.split() == ["learning_rate", "0.001", "0.0003"]
    assert "gamma" not in repr(comparison)
    assert "<b>other" not in comparison._repr_html_()


def test_what_a_run_counts_stands_in_its_own_unit(pair, tmp_path):
    """A run that learns from data alone takes no env steps."""
    offline = make_run(tmp_path / "offline", dataset="data/cart/medium-v0", total_updates=300)
    timing = {"env_steps": [300], "seconds": [2.0], "env_steps_per_second": [150.0]}
    training = {"env_steps": [300], "mean_return_100": [None]}
    write_metrics(offline, timing=timing, training=training)
    of_both = {row[0]: row[1:] for row in frankrl.compare_runs([*pair, offline.path]).rows()}
    assert of_both["env steps"] == ["200", "0", "–"]
    assert of_both["updates"] == ["–", "–", "300"]
    assert of_both["env steps per second"] == ["50", "–", "–"]
    assert of_both["updates per second"] == ["–", "–", "150"]
    assert "clock" not in of_both
    alone = {row[0] for row in frankrl.compare_runs([offline.path] * 2).rows()}
    assert {"updates", "updates per second"} <= alone
    assert not [name for name in alone if "env steps" in name]


def test_one_run_and_what_is_no_run_are_refused(pair, tmp_path):
    with pytest.raises(SettingError, match="2 to 24 runs can be compared, got 1"):
        frankrl.compare_runs(pair[:1])
    with pytest.raises(SettingError, match="got 25"):
        frankrl.compare_runs([pair[0]] * 25)
    with pytest.raises(RunFolderError, match="there is no run folder"):
        frankrl.compare_runs([pair[0], tmp_path / "none"])
