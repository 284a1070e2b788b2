"""What the benchmark of the lander does in turns, and what its tables say."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import compare, lander
from benchmarks.peers import bare, protocol
from benchmarks.peers.command import source_of, trained
from benchmarks.peers.protocol import Job, StartUp, is_done, meter
from benchmarks.peers.tables import tables


def run(seconds: float, solved_at: int | None = 50_000, startup: float = 1.0) -> dict:
    solved = solved_at and {"env_steps": solved_at, "seconds": seconds - 0.5}
    return {"seconds": seconds, "startup_seconds": startup, "solved": solved, "mean_return": 210.0}


RESULTS = {
    "machine": {"cpu": "A Processor", "visible_cpus": 2},
    "bare_env_steps": 100_000,
    "commits": {"new": "abc", "old": "def"},
    "cold": {"new": run(9.0, startup=3.0), "old": run(9.0, startup=4.0)},
    "turns": [
        {
            "seed": 0,
            "bare_seconds": 4.0,
            "new": run(6.0),
            "old": run(10.0),
            "sb3": {"startup_seconds": 2.5},
        },
        {
            "seed": 1,
            "bare_seconds": 5.0,
            "new": run(10.0, 70_000),
            "old": run(30.0, None),
            "sb3": {"startup_seconds": 3.5},
        },
    ],
}


def test_a_multiple_counts_in_the_bare_steps_of_its_own_turn():
    found = lander.summary(RESULTS)
    assert found["bare_seconds"] == 4.5
    assert found["new"]["multiple"] == {"median": 1.75, "worst": 2.0}
    assert found["new"]["env_steps"]["median"] == 60_000
    assert found["new"]["startup_of_sb3"] == pytest.approx(1 / 3)


def test_a_run_that_was_not_solved_took_longer_than_any():
    found = lander.summary(RESULTS)["old"]
    assert found["solved"] == 1
    assert found["multiple"] == {"median": None, "worst": None}
    json.dumps(found, allow_nan=False)


def test_the_tables_name_the_machine_and_each_seed():
    text = lander.tables(RESULTS)
    assert "A Processor, 2 CPUs. 100,000 bare env steps take 4.50 s on one core" in text
    assert (
        "| new (abc) | 6.0, 10.0 | 8.0 | 10.0 | 1.50, 2.00 | 1.75 | 2.00 | 60,000 | 2 of 2 |"
        in text
    )
    assert "| old (def) | 10.0, – | – | – | 2.50, – | – | – | – | 1 of 2 |" in text
    assert "| new | 1.00 | 3.00 | 0.33 |" in text
    assert "| SB3 | 3.00 | | |" in text


def test_the_versions_take_turns_each_with_a_cache_of_its_own(monkeypatch, tmp_path, capsys):
    calls = []

    def fake_trained(words, cache, checkout):
        calls.append((cache.name, checkout, words[words.index("--seed") + 1], words[-1]))
        return {
            "wall_seconds": 1.0,
            "startup_seconds": 0.5,
            "solved": None,
            "evaluation": {"mean_return": 1.0},
        }

    def fake_measured(python, peer, job):
        return {"bare_seconds": 4.0} if peer == "bare" else {"startup_seconds": 2.0}

    monkeypatch.setattr(lander, "trained", fake_trained)
    monkeypatch.setattr(lander, "measured", fake_measured)
    root, out = lander.ROOT, tmp_path / "lander.json"
    lander.main(
        lander.Options(
            seeds=(7, 8), against=root, words="--symmetry", results=out, sb3=Path("python")
        )
    )
    assert [(name, seed) for name, _, seed, _ in calls] == [
        *(("new", "100"), ("old", "100")),
        *(("new", "7"), ("old", "7"), ("old", "8"), ("new", "8")),
    ]
    assert all((last == "--symmetry") == (name == "new") for name, _, _, last in calls)
    assert "| SB3 | 2.00 |" in capsys.readouterr().out
    stored = json.loads(out.read_text())
    assert [turn["seed"] for turn in stored["turns"]] == [7, 8]
    assert stored["summary"]["old"]["solved"] == 0


def test_what_is_no_checkout_of_frank_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="has no src/frankrl: give the root of a checkout"):
        source_of(tmp_path)


def test_a_command_that_fails_says_what_frank_says(tmp_path):
    answer = trained(["CartPole-v1", "--seed", "-1"], tmp_path)
    assert "seed" in answer["failed"]


def test_bare_steps_are_timed_without_an_agent(monkeypatch, capsys):
    job = {"task": "bare", "env_id": "CartPole-v1", "seed": 0, "seconds": 0.0, "env_steps": 50}
    monkeypatch.setattr(sys, "argv", ["bare", json.dumps(job)])
    bare.main()
    assert json.loads(capsys.readouterr().out)["bare_seconds"] > 0


def test_start_up_is_over_when_the_step_after_the_first_round_is_told(monkeypatch):
    monkeypatch.setattr(protocol, "process_started", lambda: 0.0)
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: 12.5)
    measured = meter(Job("startup", "LunarLander-v3", 0, 0.0))
    assert isinstance(measured, StartUp)
    assert [is_done(measured, step, lambda _: 0) for step in (8, 16)] == [False, True]
    assert measured.result() == {"startup_seconds": 12.5}


def test_start_up_is_asked_of_those_whose_adapters_tell_it():
    given = compare.jobs(compare.Options(tasks=("startup", "solve")), seed=2)
    assert [(peer, job["task"]) for peer, job in given][:4] == [
        *(("frank", "startup"), ("sb3", "startup"), ("sbx", "startup")),
        ("bare", "bare"),
    ]
    assert all(job["task"] == "solve" for _, job in given[4:])


def test_the_comparison_shows_start_up_and_what_bare_steps_cost():
    def row(peer: str, task: str, **found) -> dict:
        return {"peer": peer, "job": {"task": task, "seconds": 60.0}, "cpu": "A Processor"} | found

    text = tables(
        [
            row("frank", "startup", startup_seconds=1.0),
            row("sb3", "startup", startup_seconds=2.5),
            row("bare", "bare", bare_seconds=4.0),
            row("frank", "solve", solved_seconds=6.0),
            row("sb3", "solve", solved_seconds=None),
        ]
    )
    assert "| sb3 | 2.50 (2.50) | 0.40 |" in text
    assert "| sb3 | > 60 | > 60 | more than 10× |" in text
    assert "4.00 (4.00) s on A Processor. Frank's median is 1.50 times that." in text
    text = tables(
        [
            row("bare", "bare", bare_seconds=4.0),
            row("frank", "solve", solved_seconds=None),
            row("sb3", "solve", solved_seconds=50.0),
        ]
    )
    assert "| sb3 | 50.0 | 50.0 |  |" in text
    assert "| frank | > 60 | > 60 |  |" in text
    assert text.endswith("4.00 (4.00) s on A Processor.")
