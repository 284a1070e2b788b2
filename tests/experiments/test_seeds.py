"""The same training with several seeds."""

import json

import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.experiments.results import score

SHORT = {
    "total_env_steps": 300,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": 100,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "worker_processes": 0,
    "device": "cpu",
    "hidden_widths": [8],
}
FLAGS = [
    word
    for name, value in SHORT.items()
    for word in (f"--{name.replace('_', '-')}", str(value[0] if name == "hidden_widths" else value))
]


def test_each_seed_gives_what_a_run_of_its_own_gives(tmp_path):
    done = []
    result = frankrl.train_seeds(
        "CartPole-v1",
        seeds=2,
        first_seed=5,
        out=tmp_path / "several",
        processes=2,
        on_run=lambda run, number, of: done.append((run.name, number, of)),
        **SHORT,
    )
    assert result.seeds == (5, 6)
    assert sorted(name for name, _, _ in done) == ["s5", "s6"]
    assert [(number, of) for _, number, of in done] == [(1, 2), (2, 2)]
    for seed, outcome in zip(result.seeds, result.outcomes, strict=True):
        alone = frankrl.train("CartPole-v1", seed=seed, out=tmp_path / f"alone{seed}", **SHORT)
        assert outcome.final_return == alone.evaluation["mean_return"]
    middle = score(np.array([each.final_return for each in result.outcomes]))
    assert repr(result).startswith("2 seeds: mean return ")
    assert middle.low <= middle.middle <= middle.high
    assert [record["seed"] for record in result.report()] == [5, 6]


def test_printed_commands_then_the_same_command_gives_the_results(tmp_path, capsys):
    command = ["train", "CartPole-v1", "--seeds", "2", "--out", str(tmp_path / "runs"), *FLAGS]
    assert frank([*command, "--print"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert frank(line.split()[1:]) == 0
    capsys.readouterr()
    assert frank([*command, "--json"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert [record["seed"] for record in json.loads(line)["runs"]] == [0, 1]
    assert "seed 1: mean return" in printed.err
    # Another command does not take these runs for its own.
    assert frank([*command, "--gamma", "0.5"]) == 2
    assert "holds another run: its gamma is 0.99 (given 0.5)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--seeds", "2", "--overwrite"], "--overwrite cannot be given with it"),
        (["--processes", "2", "--overwrite"], "--processes trains runs of their own from"),
        (["--ray", "auto", "--publish", "x"], "--ray trains runs of their own from"),
        (["--seeds", "2", "--init-from", "x"], "--init-from cannot be given with it"),
        (["--processes", "-2"], "processes must be"),
    ],
)
def test_mistakes_give_one_line(tmp_path, capsys, more, words):
    assert frank(["train", "CartPole-v1", *more, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()
