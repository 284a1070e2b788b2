"""The command line as a person meets it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hanging import HANGS_AFTER_SECONDS

import frankrl
from frankrl.cli.main import main
from frankrl.config import setting_names
from frankrl.config.presets import load_preset
from frankrl.core.absent import absent_env
from frankrl.runs import (
    MetricsWriter,
    RunDescription,
    RunFolder,
    RunLock,
    list_checkpoints,
)

SMALL = [
    "--preset=default",
    "--hidden-widths",
    "8",
    "--num-envs=4",
    "--total-env-steps=400",
    "--learning-starts-env-steps=100",
    "--final-evaluation-episodes=2",
]


def frank(*words: str) -> int:
    """Run `frank` in this process; tyro's help leaves through SystemExit."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    assert frank("train", "CartPole-v1", *SMALL, "--out", path) == 0
    return path


MISTAKES = {
    "no_command": (["tran"], "no command 'tran'.*did you mean 'train'"),
    "no_command_like_it": (["list"], r"no command 'list' \(commands: "),
    "nothing_like_it": (["swim"], r"no command 'swim' \(commands: "),
    "no_environment": (["train"], "name an environment"),
    "unknown_environment": (["train", "CartPol-v1"], "did you mean 'CartPole-v1'"),
    "unknown_module": (["train", "no_such_module:Env-v0"], "no module 'no_such_module'"),
    "unknown_preset": (["train", "CartPole-v1", "--preset", "clasic"], "did you mean 'classic'"),
    "unknown_setting": (["train", "CartPole-v1", "--gama", "0.9"], "--gama.*did you mean --gamma"),
    "wrong_type": (["train", "CartPole-v1", "--gamma", "high"], "--gamma.*'high'"),
    "wrong_choice": (["train", "CartPole-v1", "--loss", "mae"], "--loss"),
    "no_json": (["train", "CartPole-v1", "--env-kwargs", "{gravity"], "JSON object"),
    "wrong_kwargs": (["train", "CartPole-v1", "--env-kwargs", '{"mass": 1}'], "mass"),
    "gamma": (["train", "CartPole-v1", "--gamma", "1.1"], "gamma must be at most 1, got 1.1"),
    "epsilon": (["train", "CartPole-v1", "--epsilon-end", "-1"], "epsilon_end must be at least 0"),
    "batch": (
        ["train", "CartPole-v1", "--batch-size", "99", "--replay-capacity", "50"],
        "batch_size .99. must be at most replay_capacity .50.",
    ),
    "idle": (
        ["train", "CartPole-v1", "--num-atoms", "21"],
        "num_atoms .21. changes nothing because distribution is mean: set distribution to c51",
    ),
    "idle_with_its_default": (
        ["train", "CartPole-v1", "--value_min=-10"],
        "value_min .-10. changes nothing because distribution is mean",
    ),
    "idle_switch": (
        ["train", "CartPole-v1", "--preset", "table", "--no-noisy"],
        "noisy .false. changes nothing because q_function is table",
    ),
    "idle_none": (
        ["train", "CartPole-v1", "--priority-beta-env-steps=none"],
        "priority_beta_env_steps .none. changes nothing because replay_sampling is uniform",
    ),
    "idle_with_resume": (
        ["train", "--resume", "RUN", "--munchausen-floor", "-1"],
        "munchausen_floor .-1. changes nothing because munchausen is false",
    ),
    "memory": (
        [
            *("train", "CartPole-v1", "--replay-capacity", "1000000000"),
            *("--total-env-steps", "4000000000"),
        ],
        r"does not fit into memory: .*replay_capacity can be [\d,]+ at most",
    ),
    "device": (
        ["train", "CartPole-v1", "--device", "gpu"],
        "device is 'gpu', but JAX computes on 'cpu'",
    ),
    "seed": (["train", "CartPole-v1", "--seed=-3"], "seed must be a whole number"),
    "no_threshold": (
        ["train", "frank_easy:Faulty-v0", "--env-kwargs", '{"fault": ""}', "--until-solved"],
        "names no reward threshold",
    ),
    "continuous": (["train", "Pendulum-v1"], "action space Box"),
    "no_run": (["evaluate", "nowhere"], "no run folder nowhere"),
    "resume_nothing": (["train", "--resume", "nowhere"], "no run folder nowhere"),
    "resume_and_overwrite": (["train", "--resume", "x", "--overwrite"], "give one of them"),
    "film_ending": (["film", "RUN", "--out", "film.avi"], "mp4"),
    "film_nothing": (["film", "RUN", "--episodes", "0"], "at least 1"),
    "evaluate_nothing": (
        ["evaluate", "RUN", "--episodes", "0"],
        "whole number from 1 to 1,000,000, got 0",
    ),
    "plot_nothing": (["plot"], "at least one run"),
    "other_environment": (["train", "Acrobot-v1", "--resume", "RUN"], "is of 'CartPole-v1'"),
    "other_settings": (
        ["train", "--resume", "RUN", "--gamma", "0.5"],
        "keeps its settings, here gamma .* .given 0.5.:",
    ),
    "run_exists": (
        ["train", "CartPole-v1", "--out", "RUN"],
        "exists already.*--resume.*--overwrite",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line_exit_status_2_and_no_folder(
    mistake, run, tmp_path, monkeypatch, capsys
):
    words, expected = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    assert frank(*(run if word == "RUN" else word for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("frank: ")
    assert re.search(expected, line), line
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert frank("train", "CartPole-v1", *SMALL, "--out", tmp_path, "--overwrite") == 2
    assert "is not a run: choose another" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_train_tells_the_memory_then_progress_then_what_to_do_next(tmp_path, capsys):
    words = ["train", "CartPole-v1", *SMALL, "--log-every-env-steps=100", "--out", tmp_path / "r"]
    assert frank(*words) == 0
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert lines[0].startswith("Training CartPole-v1 with preset default, seed 0")
    # 4 float32 of state, action, reward, terminated, ending: 16 + 2 + 4 + 1 + 4, and room for
    # the last observation of one episode in 64 env steps of the capacity.
    assert lines[1].strip() == (
        "replay buffer: 4,096 transitions × 28 bytes = 112 KiB "
        "(total_env_steps fill no more of a replay_capacity of 100,000)"
    )
    assert sum(line.startswith("env steps ") for line in lines) == 4
    assert any("mean return" in line and "95 %" in line for line in lines)
    assert f"  frank film {tmp_path / 'r'}" in lines
    updates = RunFolder.open(tmp_path / "r").description.settings.updates_due(400)
    assert f"  frank explain {tmp_path / 'r'} --update {updates}" in lines


def test_a_schedule_that_ends_before_learning_starts_is_warned_of(tmp_path, capsys):
    words = ["--epsilon-decay-env-steps", "50", "--out", tmp_path / "r"]
    assert frank("train", "CartPole-v1", *SMALL, *words) == 0
    assert "warning: epsilon_decay_env_steps (50) ends before learning" in capsys.readouterr().err


def test_train_with_json_ends_with_one_line_on_standard_output(tmp_path, capsys):
    out = tmp_path / "run"
    assert frank("train", "CartPole-v1", *SMALL, "--json", "--out", out) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    names = {"run", "env_steps", "updates", "seconds", "startup_seconds", "solved"}
    names |= {"best", "evaluation", "not_reproducible", "stopped"}
    names |= {"environment_restarts", "stop_reason", "clock", "estimate"}
    assert set(told) == names
    assert (told["run"], told["env_steps"], told["solved"]) == (str(out), 400, None)
    assert 0 < told["startup_seconds"] < told["seconds"]
    assert len(told["evaluation"]["returns"]) == 2


def test_evaluate_with_json_prints_one_object_with_every_episode(run, capsys):
    assert frank("evaluate", run, "--episodes", "5", "--seed", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {"mean_return", "std_return", "returns", "lengths", "env_id", "env_steps"} <= set(told)
    assert (told["env_id"], told["env_steps"]) == ("CartPole-v1", 400)
    assert told["returns"] == [float(length) for length in told["lengths"]]
    assert told["mean_return"] == pytest.approx(sum(told["returns"]) / 5)


@pytest.mark.parametrize("words", [["evaluate"], ["film"], ["evaluate", "--best"]])
@pytest.mark.parametrize("running", [True, False])
def test_a_run_that_is_too_young_says_so_and_when_it_will_not_be(words, running, tmp_path, capsys):
    settings = load_preset("default").with_changes(checkpoint_every_env_steps=30_000)
    description = RunDescription("CartPole-v1", "default", 0, settings.resolved())
    folder = RunFolder.create(tmp_path / "run", description)
    if running:
        writer = MetricsWriter(folder.metrics)
        writer.write([("timing", (10_000, 2.0, 5_000.0))])
        writer.close()
        lock = RunLock(folder.path, folder.path)
    assert frank(words[0], folder.path, *words[1:]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    first = "10,000" if "--best" in words else "30,000"
    assert f"the first comes at env step {first}" in line or f"at env step {first};" in line
    if running:
        lock.release()
        assert "is being trained and holds no" in line
        assert ("about 4 s before" if first == "30,000" else "about 0 s before") in line
    else:
        assert "its training ended before the first one" in line


def test_explain_without_an_update_lists_what_can_be_opened(run, capsys):
    assert frank("explain", run) == 0
    printed = capsys.readouterr().out
    reached = RunFolder.open(run).description.settings.updates_due(400)
    assert f"has the updates 1 to {reached}: frank explain {run} --update N" in printed


@pytest.mark.parametrize("flag", [["--json"], ["--transition", "3"], ["--html", "page.html"]])
def test_what_belongs_to_an_update_needs_one(flag, run, capsys):
    assert frank("explain", run, *flag) == 2
    assert f"{flag[0]} needs an update: name one with --update" in capsys.readouterr().err


def test_evaluate_in_words_says_whether_it_is_solved(run, capsys):
    assert frank("evaluate", run, "--episodes", "2") == 0
    assert "solved at 475" in capsys.readouterr().out


def test_film_and_plot_write_into_the_run_and_print_where(run, capsys):
    assert frank("film", run) == 0
    film = capsys.readouterr().out.strip()
    assert film == str(run / "videos" / "000000000400-s0.mp4")
    assert (run / "videos" / "000000000400-s0.mp4").stat().st_size > 1_000
    assert frank("plot", run, run) == 0
    assert capsys.readouterr().out.strip() == str(run / "plot.png")
    assert (run / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_may_be_called_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frank("runs", "none") == 2
    assert "no folder none" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--max-gradient-norm", "none"], ["--max-gradient-norm=none"]])
def test_none_turns_an_optional_setting_off(words, tmp_path):
    assert frank("train", "CartPole-v1", *SMALL, *words, "--out", tmp_path / "run") == 0
    description = RunFolder.open(tmp_path / "run").description
    assert description.settings.learning.max_gradient_norm is None


def test_a_run_in_a_folder_that_cannot_be_written_can_be_plotted(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert frank("plot", tmp_path / "run", "--out", tmp_path / "curve.png") == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def test_resume_continues_to_a_larger_budget(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    assert frank("train", "--resume", tmp_path / "run", "--total-env-steps", "600", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["env_steps"] == 600
    assert "continuing at env step 400" in captured.err


def test_resume_may_choose_another_device(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    words = ["--total-env-steps", "600", "--device", "cpu", "--json"]
    assert frank("train", "--resume", tmp_path / "run", *words) == 0
    assert json.loads(capsys.readouterr().out)["not_reproducible"] == []
    assert RunFolder.open(tmp_path / "run").description.settings.training.device == "cpu"


def test_without_out_a_run_lies_below_runs_by_environment_and_seed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert frank("train", "CartPole-v1", *SMALL, "--seed", "7") == 0
    (path,) = (tmp_path / "runs" / "CartPole-v1").iterdir()
    assert path.name.startswith("default-s7-2")
    assert RunFolder.open(path).description.seed == 7


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words, capsys):
    assert frank(*words) == 0
    shown = capsys.readouterr().out
    files = {path.stem for path in (Path(frankrl.__file__).parent / "cli").glob("*.py")}
    named = {line.split()[0] for line in shown.splitlines() if line.startswith("  ")}
    assert {"train", "evaluate", "film", "plot", "doctor", "completion"} <= named <= files


def test_without_a_command_one_reads_what_to_do_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frank() == 0
    first = capsys.readouterr().out
    assert "frank train LunarLander-v3" in first
    assert "frank film" not in first
    assert frank("train", "CartPole-v1", *SMALL) == 0
    (run,) = (tmp_path / "runs" / "CartPole-v1").iterdir()
    capsys.readouterr()
    assert frank() == 0
    assert f"frank film runs/CartPole-v1/{run.name}" in capsys.readouterr().out
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace("CartPole-v1", absent_env("cart-v0")))
    assert frank() == 0
    shown = capsys.readouterr().out
    assert "frank film" not in shown
    assert "frank runs" in shown


def test_the_short_help_of_train_has_twelve_settings_with_the_presets_values(capsys):
    assert frank("train", "LunarLander-v3", "--help") == 0
    shown = capsys.readouterr().out
    flags = [line.split()[0] for line in shown.splitlines() if line.startswith("  --")]
    settings = [name for name in setting_names() if f"--{name.replace('_', '-')}" in flags]
    assert len(settings) == 12
    assert "--learning-rate 0.004" in shown
    assert "--hidden-widths 64 64" in shown
    assert "--help-all" in shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command_and_every_setting(shell, capsys):
    assert frank("completion", shell) == 0
    shown = capsys.readouterr().out
    dashes = "-l " if shell == "fish" else "--"
    for name in setting_names():
        assert f"{dashes}{name.replace('_', '-')}" in shown


BEGUN = {
    "train --learning-rate-d": "--learning-rate-decay-env-steps",
    "train --wr": "--wrappers",
    "ev": "evaluate",
    "hub pu": "push pull",
    "hub push --with-r": "--with-replay",
    "hub push run owner/name --pri": "--private",
    "hub pull --ov": "--overwrite",
    "hub pull --with-r": "",
    "runs co": "compare",
    "runs --wh": "--where",
    "runs some/folder --wh": "--where",
    "runs compare --js": "--json",
    "runs remove a b --che": "--checkpoints",
    "job --prin": "",
    "cluster --addr": "",
}
"""What was typed after `frank`, and what it may become."""


def test_bash_completes_what_was_begun(tmp_path, capsys):
    assert frank("completion", "bash") == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    code = [f"source {tmp_path / 'script'}"]
    for words in BEGUN:
        code.append(f"COMP_WORDS=(frank {words}); COMP_CWORD={len(words.split())}; _frank")
        code.append("echo ${COMPREPLY[@]}")
    done = subprocess.run(
        ["bash", "-c", "\n".join(code)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    found = dict(zip(BEGUN, done.stdout.splitlines(), strict=True))
    found["train --learning-rate-d"] = found["train --learning-rate-d"].split()[0]
    assert found == BEGUN


def test_fish_is_told_the_options_of_a_commands_own_commands(capsys):
    assert frank("completion", "fish") == 0
    lines = capsys.readouterr().out.splitlines()
    seen = "complete -c frank -n '__fish_seen_subcommand_from"
    own = f"{seen} runs; and __fish_seen_subcommand_from remove' -l"
    assert {line for line in lines if line.startswith(own)} >= {
        f"{own} {flag}" for flag in ("help", "checkpoints", "yes")
    }
    others = f"{seen} runs; and not __fish_seen_subcommand_from compare remove'"
    assert f"{others} -a 'compare remove'" in lines
    assert f"{others} -l where" in lines
    assert "complete -c frankrl -w frank" in lines


def test_help_of_train_shows_every_setting_with_its_unit_and_the_presets_default(capsys):
    assert frank("train", "LunarLander-v3", "--help-all") == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in setting_names():
        assert f"--{name.replace('_', '-')}" in shown
    capacity = load_preset("LunarLander-v3").replay.replay_capacity
    assert f"[transitions] (while acting and with algorithm dqn) (default: {capacity})" in shown


def test_help_of_train_says_which_choice_a_setting_belongs_to(capsys):
    assert frank("train", "--help-all") == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in (
        "Number of fixed returns. [atoms] (with distribution c51) (default: 51)",
        "quantile losses are linear. [reward] (with loss huber, or with distribution qr or iqn)",
        "ε after the decay. [probability] (while acting and without noisy and without asynchronous",
        "(while acting and with learning_rate_end)",
    ):
        assert words in shown


def test_a_choice_on_the_command_line_drops_what_the_preset_says_of_the_old_one(tmp_path):
    words = ["--preset", "rainbow", "--distribution", "mean", "--no-noisy", *SMALL[1:]]
    assert frank("train", "CartPole-v1", *words, "--out", tmp_path / "run") == 0
    settings = RunFolder.open(tmp_path / "run").description.settings
    assert settings.network.distribution == "mean"
    assert settings.network.value_max == 10
    assert settings.network.dueling
    config = (tmp_path / "run" / "config.toml").read_text()
    assert "value_max" not in config
    assert "epsilon_end" in config


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from frankrl.cli.main import main; main(['--help']);"
        "sys.exit(any(m in sys.modules for m in ('jax', 'numpy', 'gymnasium', 'tyro', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("status", [0, 2, 130])
def test_the_process_ends_with_what_is_due_and_takes_nothing_apart(status):
    code = (
        "import atexit, ctypes, sys, threading, time, frankrl.cli.main as m;"
        "ctypes.CDLL(None).printf(b'from C\\n');"
        "atexit.register(print, 'taken apart');"
        "threading.Thread(target=time.sleep, args=(3_600,)).start();"
        f"m.main = lambda: print('the result') or print('a word', file=sys.stderr) or {status};"
        "m.run_process()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (status, "a word\n")
    assert sorted(ended.stdout.splitlines()) == ["from C", "the result"]


def test_ctrl_c_saves_and_exits_130_and_the_run_can_be_continued(tmp_path):
    out = tmp_path / "run"
    words = [*SMALL, "--total-env-steps=100000000", "--log-every-env-steps=100", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "frankrl.cli.main", "train", "CartPole-v1", *words],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("env steps "):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert f"frank train --resume {out}" in rest
    assert "Traceback" not in rest
    (checkpoint,) = list_checkpoints(out / "checkpoints")
    total = int(checkpoint.name) + 200
    assert frank("train", "--resume", out, "--total-env-steps", total) == 0


def started_on_a_terminal(out):
    """`frank train` on a terminal of its own; the process, and the terminal's other end."""
    ours, theirs = os.openpty()
    words = [*SMALL, "--total-env-steps=100000000", "--checkpoint-every-env-steps=100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "frankrl.cli.main", "train", "CartPole-v1", *words, "--out", out],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(theirs)
    read = b""
    while b"env steps/s" not in read:
        read += os.read(ours, 65_536)
    return process, ours


def test_a_run_whose_terminal_is_closed_is_saved_and_exits_129(tmp_path):
    process, terminal = started_on_a_terminal(tmp_path / "run")
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(HANGS_AFTER_SECONDS) == 129
    assert len(list_checkpoints(tmp_path / "run" / "checkpoints")) == 1


def test_a_signal_that_was_ignored_stays_so(tmp_path):
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "from frankrl.core.stopping import stop_signals\n"
        "with stop_signals() as asked: os.kill(os.getpid(), signal.SIGHUP); sys.exit(asked())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_second_signal_ends_at_once_with_the_status_of_the_first():
    code = (
        "import os, signal, sys\n"
        "from frankrl.core.stopping import stop_signals, StoppedAtOnceError\n"
        "try:\n"
        "  with stop_signals():\n"
        "    os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "except StoppedAtOnceError as error: sys.exit(error.exit_status)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 143


@pytest.mark.parametrize("place", ["best", "checkpoints"])
def test_a_run_folder_that_leads_elsewhere_is_not_touched(run, tmp_path, capsys, place):
    shutil.copytree(run, tmp_path / "run")
    photos = tmp_path / "photos"
    (photos / "2021").mkdir(parents=True)
    shutil.rmtree(tmp_path / "run" / place, ignore_errors=True)
    (tmp_path / "run" / place).symlink_to(photos)
    assert frank("train", "--resume", tmp_path / "run", "--total-env-steps", "500") == 2
    assert "is a link" in capsys.readouterr().err
    assert [entry.name for entry in photos.iterdir()] == ["2021"]


def test_what_is_written_replaces_a_link_and_not_what_it_leads_to(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "precious").write_text("years of work")
    for name in (".report.json.new", ".config.toml.new"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "precious")
    assert frank("train", "--resume", tmp_path / "run", "--total-env-steps", "500") == 0
    assert (tmp_path / "precious").read_text() == "years of work"
