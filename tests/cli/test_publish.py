"""`frank train --publish` and `frank fetch`: what is typed wrongly is answered in one line."""

import json

import pytest

from frankrl.cli.main import main as frank

QUICK = [
    *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "8", "--total-env-steps=60"),
    *("--learning-starts-env-steps=30", "--final-evaluation-episodes=1"),
]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ["train", "--resume", "runs/x", "--publish", "shared"],
            "repeat the command that began it, with --out runs/x instead of --resume",
        ),
        (["train", "CartPole-v1", "--lease-seconds", "5"], "give --publish, too"),
        (
            [*QUICK, "--publish", "shared", "--lease-seconds", "0.01"],
            "--lease-seconds must be from 0.1 to 86,400 seconds, got 0.01",
        ),
        ([*QUICK, "--publish", "s4://bucket"], "--publish takes a folder, or an address that"),
        ([*QUICK, "--publish", "shared", "--seeds", "2"], "--publish cannot be given with --seeds"),
        (["fetch"], "frank fetch /shared/lander --out runs/lander"),
        (["fetch", "shared"], "frank fetch /shared/lander --out runs/lander"),
        (["fetch", "shared", "--out", "run"], "shared holds no state of a run yet"),
    ],
)
def test_what_is_typed_wrongly_is_answered_in_one_line_and_leaves_nothing(
    words, answer, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert frank(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert answer in line
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_published_and_fetched_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frank([*QUICK, "--publish", "shared", "--json"]) == 0
    told = capsys.readouterr()
    report = json.loads(told.out)
    assert report["published"] == str(tmp_path / "shared")
    assert f"  frank fetch {tmp_path / 'shared'} --out runs/NAME" in told.err
    assert frank(["fetch", "shared", "--out", "run"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'run'}\n"
    assert frank(["fetch", "shared", "--out", "run"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert frank([*QUICK, "--publish", "shared", "--out", "again", "--json"]) == 0
    told = capsys.readouterr()
    assert "holds the finished run" in told.err
    assert json.loads(told.out)["evaluation"] == report["evaluation"]
