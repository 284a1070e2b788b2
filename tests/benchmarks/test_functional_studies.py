"""The benchmarks of environments that are functions: their commands, and what their tables say."""

import json
from pathlib import Path

import pytest

from benchmarks import functional, functional_gpu
from benchmarks.peers import reaching
from benchmarks.peers.reaching import Reaching, ReachJob
from frankrl.cli.parsing import parse
from frankrl.cli.train_options import TrainOptions

MACHINE = {"cpu": "A Processor", "visible_cpus": 2, "accelerator": "A GPU"}


class LeftError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def leaving(monkeypatch):
    def leave(status):
        raise LeftError(status)

    monkeypatch.setattr(reaching.os, "_exit", leave)


def test_a_library_is_heard_until_it_reaches_the_goal(leaving, capsys):
    run = Reaching(ReachJob(seed=0, goal=500.0, episodes=100, seconds=1e9))
    run.note(1_000, 480.0)
    with pytest.raises(LeftError, match="0"):
        run.note(2_000, 500.0)
    told = json.loads(capsys.readouterr().out)
    assert told["reached"]["env_steps"] == 2_000
    assert [evaluation[1:] for evaluation in told["evaluations"]] == [
        [1_000, 480.0],
        [2_000, 500.0],
    ]


def test_a_library_that_takes_too_long_is_given_up(leaving, capsys):
    with pytest.raises(LeftError):
        Reaching(ReachJob(seed=0, goal=500.0, episodes=100, seconds=0.0)).note(1_000, 480.0)
    assert json.loads(capsys.readouterr().out)["reached"] is None


def test_frank_has_reached_the_goal_if_its_final_evaluation_has(monkeypatch):
    report = {"wall_seconds": 5.0, "startup_seconds": 2.0, "env_steps": 20_000}

    def found(mean):
        report["evaluation"] = {"mean_return": mean}
        monkeypatch.setattr(functional, "trained", lambda words, cache: report)
        return functional._franks(functional.Options(), 0, Path())["reached"]

    assert found(500.0) == {"seconds": 5.0, "env_steps": 20_000}
    assert found(499.9) is None


def test_who_has_not_reached_the_goal_took_longer_than_anyone():
    def row(who, seed, seconds):
        reached = seconds and {"seconds": seconds, "env_steps": 20_000}
        return {"who": who, "seed": seed, "reached": reached}

    rows = [row("frank, cold", 0, 5.0), row("frank, cold", 1, 6.0), row("rejax_dqn", 0, 40.0)]
    rows += [row("rejax_dqn", 1, None), {"who": "purejaxql", "seed": 0, "failed": "no jax"}]
    lines = functional.table({"machine": MACHINE, "goal": 500.0, "rows": rows}).splitlines()
    assert lines[0] == "A Processor, 2 CPUs."
    assert "| frank, cold | 5.0, 6.0 | 5.5 | 6.0 | 20,000 | 2 of 2 |" in lines
    assert "| rejax_dqn | 40.0, – | – | – | – | 1 of 2 |" in lines
    assert "- purejaxql failed with seed 0: no jax" in lines


def test_what_is_no_checkout_of_purejaxql_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"has no purejaxql/pqn_gymnax\.py"):
        functional.main(functional.Options(purejaxql=tmp_path))


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("name", functional_gpu.STUDIES)
def test_the_command_of_a_gpu_study_is_one_that_frank_takes(name, small):
    study = functional_gpu.STUDIES[name]
    options = parse(TrainOptions, study.command(small=small), "train", "")
    assert options.env == study.words[0]
    sizes = study.size | (study.small if small else {})
    assert options.training.total_env_steps == sizes["total-env-steps"]
    assert options.training.device == ("auto" if small else "gpu")


def test_the_gpu_studies_take_less_than_ten_minutes():
    assert sum(study.limit_seconds for study in functional_gpu.STUDIES.values()) <= 570


def test_of_a_group_of_seeds_the_longest_run_counts_and_all_returns():
    def report(seconds, mean):
        return {
            "seconds": seconds,
            "startup_seconds": 7.0,
            "env_steps": 51_000,
            "updates": 50_008,
            "evaluation": {"mean_return": mean, "episodes": 100},
        }

    runs = [{"report": report(20.0, 400.0)}, {"report": report(20.5, 500.0)}]
    found = functional_gpu.found({"runs": runs, "wall_seconds": 25.0})
    assert (found["seeds"], found["after_startup_seconds"], found["mean_return"]) == (
        2,
        13.5,
        450.0,
    )
    row = {"study": "seeds", **found}
    failed = {"study": "pqn", "failed": "took longer than 180 s"}
    text = functional_gpu.table({"machine": MACHINE, "cpus": 16, "rows": [row, failed]})
    assert "| seeds | 2 | 51,000, 50,008 | 25.0 | 7.0 | 13.5 | 450.0 |" in text
    assert "| pqn | failed: took longer than 180 s |" in text
