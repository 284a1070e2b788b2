"""Standard output has results alone, whoever else prints; relative names mean what they meant."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import odd_envs
import pytest
from hanging import HANGS_AFTER_SECONDS

import frankrl.cli.main as cli_main
from frankrl.cli.main import main
from frankrl.cli.output import only_results_on_stdout, print_result
from frankrl.runs import RunFolder

pytestmark = pytest.mark.slow

QUICK = [
    *("--preset=default", "--hidden-widths", "8", "--total-env-steps=60"),
    *("--learning-starts-env-steps=30", "--final-evaluation-episodes=3"),
]
ODD = ("odd words of Python", "odd words of C", "odd words to the descriptor")


def frank(*words, folder, **env):
    """The command in a process of its own."""
    path = os.pathsep.join([str(Path(odd_envs.__file__).parent), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, "-m", "frankrl", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | env,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_SECONDS,
    )


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """A folder with a run of an environment that prints, and what the command printed."""
    folder = tmp_path_factory.mktemp("talker")
    words = ["train", "odd_envs:OddTalker-v0", *QUICK, "--num-envs=2", "--worker-processes=1"]
    return folder, frank(*words, "--out=run", "--json", folder=folder, ODD_WORDS="1")


def test_standard_output_of_training_is_the_json_alone(talked):
    _, done = talked
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["env_steps"] == 60
    for words in (*ODD, odd_envs.WORDS_AT_IMPORT, odd_envs.WORDS_AT_EXIT):
        assert words in done.stderr
    first = "  warning: odd_envs:OddTalker-v0 names no max_episode_steps"
    assert [line for line in done.stderr.splitlines() if line.startswith(first)]


@pytest.mark.parametrize("words", [["evaluate", "run", "--episodes=2"], ["explain", "run"]])
def test_standard_output_of_other_commands_is_their_json_alone(talked, words):
    folder, _ = talked
    more = ["--update=9"] if words[0] == "explain" else []
    done = frank(*words, *more, "--json", folder=folder, ODD_WORDS="1")
    (line,) = done.stdout.splitlines()
    assert isinstance(json.loads(line), dict)
    assert odd_envs.WORDS_AT_IMPORT in done.stderr


def test_help_stays_on_standard_output(capsys):
    with contextlib.suppress(SystemExit):
        main(["evaluate", "--help"])
    captured = capsys.readouterr()
    assert "--episodes" in captured.out
    assert captured.err == ""


def test_what_is_printed_beside_results_goes_to_standard_error_until_the_end(capfd):
    with only_results_on_stdout(for_good=False):
        print("from Python")
        os.write(1, b"to the descriptor\n")
        print_result("a result")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    print("afterwards", flush=True)
    captured = capfd.readouterr()
    assert captured.out.splitlines() == ["a result", "afterwards"]
    assert set(captured.err.splitlines()) == {"from Python", "to the descriptor", "from a child"}


@pytest.mark.parametrize("reader", ["gone", "full"])
def test_results_that_nobody_takes_end_the_command_without_a_traceback(talked, reader):
    folder, _ = talked
    if reader == "full" and not os.path.exists("/dev/full"):
        pytest.skip("Linux has a device that is always full")
    to = "/dev/full" if reader == "full" else os.pipe()
    with contextlib.ExitStack() as stack:
        if reader == "full":
            stdout = stack.enter_context(open(to, "w"))
        else:
            os.close(to[0])
            stdout = stack.enter_context(os.fdopen(to[1], "w"))
        path = os.pathsep.join([str(Path(odd_envs.__file__).parent), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-m", "frankrl", "evaluate", "run", "--episodes=2", "--json"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANGS_AFTER_SECONDS,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("out", ["run", "./below/run"])
def test_a_relative_run_folder_is_not_moved_by_an_environment(tmp_path, monkeypatch, out, capsys):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    kwargs = json.dumps({"to": str(tmp_path / "elsewhere")})
    assert main(["train", "OddWanderer-v0", *QUICK, "--env-kwargs", kwargs, "--out", out]) == 0
    assert RunFolder.open(tmp_path / out).description.env_id == "OddWanderer-v0"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--resume", out, "--total-env-steps=90", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["env_steps"] == 96
    monkeypatch.chdir(tmp_path)
    assert main(["explain", out, "--update", "5", "--html", "page.html"]) == 0
    assert (tmp_path / "page.html").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "frank: there is not enough memory for this\n"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nwhile trying to allocate 9 bytes"),
            "frank: there is not enough memory for this: RESOURCE_EXHAUSTED: Out of memory while "
            "trying to allocate 9 bytes\n",
        ),
    ],
)
def test_a_machine_without_enough_memory_is_one_sentence(error, told, monkeypatch, capsys):
    def fails(*given, **more):
        raise error

    monkeypatch.setattr(cli_main, "_run", fails)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == told
    error.args = ("a mistake of Frank's own",)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="of Frank's own"):
            main(["doctor"])
