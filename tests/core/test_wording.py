"""Messages name flags on the command line and arguments in Python."""

import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankError
from frankrl.core.wording import command_line, option, resuming, training
from frankrl.runs import RunDescription, RunFolder


def test_an_option_is_a_flag_or_an_argument():
    assert (option("out"), option("overwrite", True)) == ("out", "overwrite=True")
    assert option("q_function", "table") == "q_function='table'"
    assert resuming("runs/a b") == "frankrl.resume('runs/a b')"
    assert training() == "frankrl.train(env)"
    with command_line():
        assert training() == "`frank train ENV`"
        assert (option("out"), option("allow_code", True)) == ("--out", "--allow-code")
        assert option("q_function", "table") == "--q-function table"
        assert resuming("runs/a b") == "frank train --resume 'runs/a b'"
    assert option("out") == "out"


@pytest.fixture
def run(tmp_path):
    path, settings = tmp_path / "run", frankrl.Settings()
    RunFolder.create(path, RunDescription("CartPole-v1", "default", 0, settings.resolved()))
    return path


def test_errors_in_python_speak_of_python_and_on_the_command_line_of_flags(run, capsys):
    with pytest.raises(FrankError) as raised:
        frankrl.train("CartPole-v1", out=run)
    assert f"continue it with frankrl.resume({str(run)!r})" in str(raised.value)
    assert "overwrite=True" in str(raised.value)
    assert "--" not in str(raised.value)
    assert frank(["train", "CartPole-v1", "--out", str(run)]) == 2
    line = capsys.readouterr().err
    assert "--resume" in line
    assert "--overwrite" in line
    assert "frankrl." not in line


@pytest.mark.parametrize(("out", "settings"), [("new", {"q_function": "table"}), ("other", {})])
def test_no_error_in_python_names_a_flag(out, settings, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(FrankError) as raised:
        frankrl.train("CartPole-v1", out=tmp_path / out, **settings)
    assert "--" not in str(raised.value)
