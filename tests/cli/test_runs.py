"""`frank runs` as a person, and a script, meet it."""

import io
import json
import os
import re
import subprocess
import sys

import pytest
from dashboard_runs import make_run, with_checkpoints, write_metrics
from rich.cells import cell_len

from frankrl.cli.main import main
from frankrl.cli.tables import fitting, print_table
from frankrl.runs import RunLock
from frankrl.runs.checkpoint_folder import list_checkpoints

ODD_NAMES = ("a b", "[red]x[/red]", "new\nline", "\x1b[31m", "é", "日本語", "\udcff")


def frank(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """`runs` in the working directory, with a damaged run and a folder that is no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    root = tmp_path / "runs"
    learned = make_run(root / "cart" / "one", seed=3, total_env_steps=5_000, learning_rate=1e-3)
    write_metrics(
        learned,
        training={"env_steps": [2_000], "updates": [1_900], "mean_return_100": [21.0]},
        evaluations={"env_steps": [1_000], "mean_return": [33.0], "purpose": ["progress"]},
    )
    learned.write_report({"env_steps": 2_000, "stopped": True, "solved": None, "evaluation": None})
    make_run(root / "cart" / "two", seed=4, learning_rate=3e-4)
    make_run(root / "land", seed=4, env_id="LunarLander-v3", preset="rainbow")
    (root / "odd").mkdir()
    (root / "odd" / "config.toml").write_text("odd = ")
    (root / "notes").mkdir()
    (root / "notes" / "todo.txt").write_text("mine")
    return root


def listed(capsys, *words):
    """The runs that `frank runs --json` prints, by their paths below `runs`."""
    assert frank("runs", *words, "--json") == 0
    runs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [os.path.relpath(run["path"], "runs") for run in runs]


def test_a_pipe_gets_plain_columns_without_anything_cut(root, capsys):
    long = "x" * 200
    make_run(root / long)
    assert frank("runs") == 0
    printed = capsys.readouterr()
    head, *rows = printed.out.splitlines()
    assert head.split()[:4] == ["run", "environment", "preset", "seed"]
    assert {row.split()[0] for row in rows} == {
        *("runs/cart/one", "runs/cart/two", "runs/land", "runs/odd", f"runs/{long}")
    }
    (one,) = [row for row in rows if row.startswith("runs/cart/one")]
    assert "stopped" in one
    assert "2,000 of 5,000" in one
    assert len({line.index("CartPole") for line in rows if "CartPole" in line}) == 1
    assert "\x1b" not in printed.out
    assert "runs/odd" in printed.err
    assert "damaged" in printed.err


def test_json_has_a_line_for_each_run(root, capsys):
    assert frank("runs", "--json", "runs/cart/one", "runs/odd") == 0
    one, odd = map(json.loads, capsys.readouterr().out.splitlines())
    written_at, size = one.pop("written_at"), one.pop("size_bytes")
    assert written_at > 1e9
    assert size > 0
    assert one == {
        "path": str(root / "cart" / "one"),
        "env_id": "CartPole-v1",
        "preset": "default",
        "seed": 3,
        "seeds": [],
        "state": "stopped",
        "clock": "env steps",
        "env_steps": 2_000,
        "total_env_steps": 5_000,
        "updates": 1_900,
        "mean_return": 21.0,
        "mean_return_spread": 0.0,
        "best_return": 33.0,
        "final_return": None,
        "final_return_spread": 0.0,
        "solved_at": None,
        "error": "",
    }
    assert odd["state"] == "unreadable"
    assert "damaged" in odd["error"]


def test_json_holds_no_number_that_is_none(root, capsys):
    columns = {"env_steps": [100], "mean_return_100": [float("inf")]}
    write_metrics(make_run(root / "infinite"), training=columns)
    assert frank("runs", "--json", "runs/infinite") == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] is None


def test_filters_orders_and_limits_compose(root, capsys):
    assert listed(capsys, "--env", "CartPole-v1") == ["cart/one", "cart/two"]
    assert listed(capsys, "--env", "CartPole-v1", "--env", "LunarLander-v3", "--seed", "4") == [
        *("cart/two", "land")
    ]
    assert listed(capsys, "--preset", "rainbow") == ["land"]
    assert listed(capsys, "--state", "not-started", "--limit", "1") == ["cart/two"]
    assert listed(capsys, "--where", "learning_rate>0.0005", "--where", "seed=3") == ["cart/one"]
    assert listed(capsys, "--sort", "run", "--reverse")[0] == "odd"
    assert listed(capsys, "--sort", "env_steps", "--limit", "1") == ["cart/one"]
    assert listed(capsys, "runs/cart", "runs/cart/one", "runs") == [
        *("cart/one", "cart/two", "land", "odd")
    ]


MISTAKES = {
    "no folder": (["nowhere"], "there is no folder nowhere"),
    "nearly a command": (["remvoe", "x"], "did you mean 'remove'"),
    "environment": (["--env", "CartPole-v2"], "did you mean 'CartPole-v1'"),
    "state": (["--state", "fnished"], "did you mean 'finished'"),
    "preset": (["--preset", "ranbow"], "did you mean 'rainbow'"),
    "setting": (["--where", "lerning_rate>1"], "did you mean 'learning_rate'"),
    "order": (["--sort", "sede"], "did you mean 'seed'"),
    "limit": (["--limit", "0"], "limit must be at least 1"),
    "flag": (["--stat", "x"], "--stat"),
    "compare one": (["compare", "runs/land"], "2 to 24 runs can be compared"),
    "compare none": (["compare", "runs/land", "runs/lend"], "there is no run folder runs/lend"),
    "remove nothing": (["remove", "--yes"], "name at least one run folder"),
    "remove what is none": (["remove", "runs/notes", "--yes"], "runs/notes is no run"),
    "remove what is damaged": (["remove", "runs/odd", "--yes"], "runs/odd is no run"),
    "remove without asking": (["remove", "runs/land"], "say --yes"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(root, capsys, words, message):
    before = sorted(root.rglob("*"))
    assert frank("runs", *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    assert sorted(root.rglob("*")) == before


def test_without_runs_the_next_step_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frank("runs") == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no runs; `frank train ENV` makes one\n")


@pytest.mark.parametrize("name", ODD_NAMES, ids=map(ascii, ODD_NAMES))
def test_a_run_of_any_name_is_one_row_and_its_json_names_it_exactly(root, capsys, name):
    make_run(root / name, seed=77)
    assert frank("runs", "--seed", "77") == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 1
    assert rows[0].isprintable()
    assert listed(capsys, "--seed", "77") == [name]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_terminal_gets_a_table_that_fits_it(root, monkeypatch, width):
    for name in ODD_NAMES:
        make_run(root / name)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    assert frank("runs") == 0
    printed = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    lines = printed.splitlines()
    assert max(map(cell_len, lines)) <= width
    assert any(line.startswith("runs/[red]x[/red]") for line in lines) or width == 40
    assert ("(left out in this width: " in printed) == (width < 130)


def test_columns_are_left_out_in_their_order_until_the_rest_fits():
    head = ["run", "environment", "preset", "state", "final", "best"]
    rows = [head, ["r" * 60, "e" * 11, "p" * 7, "s" * 10, "12345", "1234"]]
    # With gaps of two: 28 + 11 + 7 + 10 + 5 + 4 and 10 more; each lost column frees its gap, too.
    assert fitting(rows, 75) == [0, 1, 2, 3, 4, 5]
    assert fitting(rows, 74) == [0, 1, 2, 3, 5]
    assert fitting(rows, 68) == [0, 1, 2, 3, 5]
    assert fitting(rows, 67) == [0, 1, 3, 5]
    assert fitting(rows, 10) == [0, 3]


def test_wide_characters_take_two_places(monkeypatch, capsys):
    print_table([["run", "seed"], ["日本", "1"], ["abcd", "2"]])
    assert capsys.readouterr().out.splitlines() == ["run   seed", "日本  1", "abcd  2"]


def test_runs_are_compared_in_text_and_json(root, capsys):
    assert frank("runs", "compare", "runs/cart/one", "runs/cart/two") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1  runs/cart/one\n2  runs/cart/two\n")
    (rate,) = [line for line in printed.splitlines() if line.startswith("learning_rate ")]
    assert rate.split() == ["learning_rate", "0.001", "0.0003"]
    assert frank("runs", "compare", "runs/cart/one", "runs/cart/two", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == [str(root / "cart" / "one"), str(root / "cart" / "two")]
    assert told["settings"]["learning_rate"] == ["0.001", "0.0003"]
    assert told["results"]["best_return"] == [33.0, None]


def answering(monkeypatch, answer):
    terminal = Terminal(answer)
    monkeypatch.setattr("sys.stdin", terminal)


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "no\n", "yess\n"])
def test_without_a_yes_nothing_is_removed(root, monkeypatch, capsys, answer):
    answering(monkeypatch, answer)
    assert frank("runs", "remove", "runs/land", "runs/cart/one") == 0
    printed = capsys.readouterr()
    assert "Remove 2 runs (" in printed.err
    assert printed.err.endswith("nothing was removed\n")
    assert listed(capsys) == ["cart/one", "cart/two", "land", "odd"]


@pytest.mark.parametrize("answer", ["y\n", "YES\n", None])
def test_with_a_yes_the_named_runs_are_removed_and_no_other(root, monkeypatch, capsys, answer):
    if answer is not None:
        answering(monkeypatch, answer)
    words = [] if answer is not None else ["--yes"]
    assert frank("runs", "remove", "runs/land", "./runs/land", "runs/cart/one", *words) == 0
    assert capsys.readouterr().out.startswith("removed 2 runs, which frees ")
    assert listed(capsys) == ["cart/two", "odd"]
    assert (root / "notes" / "todo.txt").exists()


def test_one_run_that_cannot_be_removed_keeps_all(root, capsys):
    lock = RunLock(root / "land", root / "land")
    assert frank("runs", "remove", "runs/cart/one", "runs/land", "--yes") == 2
    assert "being written" in capsys.readouterr().err
    assert listed(capsys) == ["cart/one", "cart/two", "land", "odd"]
    lock.release()


def test_older_checkpoints_alone_are_removed(root, capsys):
    run = with_checkpoints(root / "many")
    words = ("runs", "remove", "runs/many", "runs/land", "--checkpoints", "--yes")
    assert frank(*words) == 0
    printed = capsys.readouterr()
    assert "runs/many: 2 checkpoints, " in printed.err
    assert printed.out.startswith("removed the older checkpoints of 1 run, which frees ")
    assert [path.name.lstrip("0") for path in list_checkpoints(run / "checkpoints")] == ["30"]
    assert frank(*words) == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_a_removal_that_was_interrupted_is_finished_and_a_new_run_of_that_name_too(root, capsys):
    (root / "land").rename(root / ".land.gone-1234")
    # Nothing is deleted before the person has agreed.
    assert frank("runs", "remove", "runs/land") == 2
    assert frank("runs", "remove", "runs/cart/one") == 2
    assert list(root.glob(".land*"))
    capsys.readouterr()
    assert frank("runs", "remove", "runs/land", "--yes") == 0
    assert "what a removal that was interrupted has left" in capsys.readouterr().err
    assert not list(root.glob(".land*"))
    make_run(root / "land").path.rename(root / ".land.gone-1234")
    make_run(root / "land")
    assert frank("runs", "remove", "runs/land", "--yes") == 0
    assert not list(root.glob("*land*"))


def test_a_folder_with_the_name_of_a_command_is_listed_by_its_path(root, capsys):
    (root / "land").rename(root.parent / "compare")
    assert frank("runs", "./compare", "--json") == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(root.parent / "compare")


def test_listing_comparing_and_removing_import_no_jax(root):
    code = (
        "import sys\n"
        "from frankrl.cli.main import main\n"
        "for words in (['runs'], ['runs', 'compare', 'runs/cart/one', 'runs/cart/two'],\n"
        "              ['runs', 'remove', 'runs/land', '--yes']):\n"
        "    assert main(words) == 0\n"
        "print(sorted({'jax', 'jaxlib', 'optax', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
