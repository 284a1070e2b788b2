"""A training with a dashboard in the background."""

import json
import re
import sqlite3

import pytest
from dashboard_runs import get, rows, served
from long_forms import some_of

import frankrl
from frankrl.cli.main import main as frank
from frankrl.runs import RunFolder


def content_of(run):
    """The content of a run except the measured times."""
    files = {
        path.relative_to(run): path.read_bytes()
        for folder in ("checkpoints", "best")
        for path in sorted((run / folder).rglob("*.safetensors"))
    }
    connection = sqlite3.connect(run / "metrics.sqlite")
    tables = ("episodes", "training", "evaluations")
    rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    connection.close()
    return files, rows


def test_a_training_has_the_same_bits_while_its_page_is_open(root, tmp_path):
    states = []

    with served(tmp_path) as port:

        def visit(event):
            (row,) = rows(port)
            states.append(row["state"])
            for path in ("/", f"/warnings/{row['id']}", f"/curves?runs={row['id']}&x=seconds"):
                assert get(port, path)[0] == 200

        path = root / "cart" / "s0"
        description = RunFolder.open(path).description
        frankrl.train(
            "CartPole-v1",
            preset="default",
            seed=0,
            out=tmp_path / "run",
            on_event=visit,
            **{
                k: v
                for group in description.settings.to_tables().values()
                for k, v in group.items()
            },
        )
    assert "running" in states
    assert content_of(tmp_path / "run") == content_of(path)


@pytest.mark.parametrize("words", some_of([["--json"], []], [["--json"]]))
def test_what_the_training_prints_stays_what_it_was(words, tmp_path, capfd):
    run = tmp_path / "run"
    short = [
        *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "8"),
        *("--total-env-steps=200", "--learning-starts-env-steps=100"),
        *("--final-evaluation-episodes=1", "--dashboard", "--out", str(run)),
    ]
    assert frank([*short, *words]) == 0
    captured = capfd.readouterr()
    assert len(re.findall(r"watch it at http://127\.0\.0\.1:\d+/", captured.err)) == 1
    if words:
        assert json.loads(captured.out)["env_steps"] == 200
    else:
        assert captured.out == ""


def test_the_page_of_a_training_takes_no_module_from_the_working_folder(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    for module in ("uvicorn", "random", "starlette", "frankrl"):
        (tmp_path / f"{module}.py").write_text(
            f"open({str(tmp_path / 'canary')!r}, 'w').close()\nraise SystemExit"
        )
    short = [
        *("train", "CartPole-v1", "--preset=default", "--hidden-widths", "8", "--dashboard"),
        *("--total-env-steps=200", "--final-evaluation-episodes=1", "--out", "run"),
    ]
    assert frank(short) == 0
    assert "watch it at http://" in capfd.readouterr().err
    assert not (tmp_path / "canary").exists()
