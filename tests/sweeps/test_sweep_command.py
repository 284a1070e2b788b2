"""`frank sweep` and `frankrl.sweep`, with runs that take a second."""

import json

import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.core.errors import FrankError
from frankrl.jobs import Ended
from frankrl.runs import list_checkpoints, load_checkpoint
from frankrl.sweeps import run as run_module
from frankrl.sweeps.trial import read_trials

SPACE = """
[learning_rate]
choices = [1e-3, 1e37]

[tau]
choices = [1.0, 0.5]
"""
SETTINGS = {
    "preset": "default",
    "total_env_steps": 300,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": 100,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
    "checkpoint_every_env_steps": 100,
    "hidden_widths": (8,),
    "worker_processes": 0,
    "max_gradient_norm": None,
}
"""So short that nothing is learned."""


def flags_of(settings):
    words = []
    for name, value in settings.items():
        text = "none" if value is None else value[0] if isinstance(value, tuple) else value
        words += [f"--{name.replace('_', '-')}", str(text)]
    return words


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep")
    (path / "space.toml").write_text(SPACE)
    return path


def command(work, *more, out="out", trials=3):
    sweep = ("--sampler", "grid", "--seeds", "1", "--processes", "1", "--trials", str(trials))
    place = ("--space", str(work / "space.toml"), "--out", str(work / out))
    return frank(["sweep", "CartPole-v1", *place, *sweep, *flags_of(SETTINGS), *more])


@pytest.fixture(scope="module")
def swept(work):
    """A sweep of which the third trial diverges."""
    assert command(work, "--json") == 0
    return work / "out"


def test_a_sweep_goes_on_after_a_trial_that_fails(swept):
    trials = read_trials(swept / "trials")
    assert [trial.state for trial in trials.values()] == ["complete", "complete", "failed"]
    assert [trial.settings["tau"] for trial in trials.values()] == [1.0, 0.5, 1.0]
    assert "training diverged" in trials[2].reason
    assert (swept / "best.toml").exists()
    assert (swept / "optuna.journal").exists()


def test_the_same_command_again_trains_nothing_and_ends_the_same(swept, work, capsys, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in (swept / "runs").rglob("*.toml")}
    texts = {path: path.read_bytes() for path in (swept / "trials").iterdir()}
    assert command(work, "--json") == 0
    out, errors = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert [trial["state"] for trial in found["trials"]] == ["complete", "complete", "failed"]
    assert found["best"] in found["trials"]
    assert "3 trials of 1 run each, 1 at a time in 1 process" in errors
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path: path.read_bytes() for path in texts} == texts
    # From Python, too.
    monkeypatch.chdir(work)
    result = frankrl.sweep(
        "CartPole-v1",
        space="space.toml",
        out="out",
        trials=3,
        seeds=1,
        sampler="grid",
        processes=1,
        **SETTINGS,
    )
    assert json.loads(json.dumps(result.to_plain())) == found
    assert repr(result).splitlines() == out.splitlines()[:-1]


def test_a_sweep_is_shown_without_its_command(swept, capsys):
    assert frank(["sweep", "--show", str(swept), "--json"]) == 0
    out, errors = capsys.readouterr()
    assert "| failed: training diverged" in out
    assert len(json.loads(out.splitlines()[-1])["trials"]) == 3
    assert "3 of 3 trials over (2 complete, 1 failed); best: trial" in errors
    assert frank(["sweep", "CartPole-v1", "--show", str(swept)]) == 2
    assert frank(["sweep", "--trials", "5", "--show", str(swept)]) == 2
    assert frank(["sweep", "--show", str(swept / "none")]) == 2


def test_the_best_settings_are_a_preset_that_gives_the_same_run(swept, tmp_path):
    best = next(
        trial for trial in read_trials(swept / "trials").values() if trial.state == "complete"
    )
    preset = str(swept / "best.toml")
    chosen = {"tau": best.settings["tau"], "learning_rate": best.settings["learning_rate"]}
    run = frankrl.train(
        "CartPole-v1", preset=preset, seed=100, out=tmp_path / "run", progress=False, **chosen
    ).run
    ours, theirs = (
        load_checkpoint(list_checkpoints(path / "checkpoints")[-1], {"q_network": 1 << 20}).tensors
        for path in (run, swept / best.runs[0])
    )
    for name, weights in ours["q_network"].items():
        np.testing.assert_array_equal(weights, theirs["q_network"][name])


def refused(capsys, work, *more, **place):
    assert command(work, *more, **place) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    lines = [line for line in errors.splitlines() if "warning" not in line]
    assert len(lines) == 1
    return lines[0]


def test_another_sweep_in_the_same_folder_is_refused_by_what_differs(swept, work, capsys):
    line = refused(capsys, work, "--gamma", "0.9", "--objective", "mean_return", "--seed", "5")
    assert "holds another sweep, with " in line
    assert "objective final_return (here mean_return)" in line
    assert "seeds [100] (here [5])" in line
    assert "gamma 0.99 (here 0.9)" in line
    assert "lag 1 (here 2)" in refused(capsys, work, "--lag", "2")
    assert "give --trials 3 or more" in refused(capsys, work, trials=2)
    (work / "files").mkdir()
    (work / "files" / "notes.txt").write_text("mine")
    line = refused(capsys, work, out="files")
    assert "holds other files and no sweep (notes.txt)" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sampler", "tpr"], "--sampler must be one of tpe, random, grid, got 'tpr'; did you"),
        (["--pruner", "x"], "--pruner must be one of none, racing, median, hyperband, got 'x'"),
        (["--trials", "0"], "--trials must be a whole number from 1 to 10,000, got 0"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--seed", "-1"], "seed"),
        (["--processes", "-1"], "processes must be a whole number of at least 0"),
        (["--objective", "return"], "there is no objective 'return'"),
        (["--tau", "0.3"], "tau cannot be fixed and searched"),
        (["--learning-rat", "0.3"], "--learning-rate"),
        (["--pruner", "median", "--evaluate-every-env-steps", "300"], "needs at least 2 evalu"),
        (
            [
                *("--pruner", "median", "--sampler", "random", "--trials", "10000"),
                *("--evaluate-every-env-steps", "5"),
            ],
            "at most 500,000 evaluations of all trials, and 10,000 trials with 60 evaluations",
        ),
        (["--preset", "nowhere"], "unknown preset 'nowhere'"),
        (["--objective", "final_return", "--final-evaluation-episodes", "none"], "needs the eval"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(work, capsys, words, message):
    assert message in refused(capsys, work, *words, out="bad")
    assert not (work / "bad").exists()


def test_what_is_missing_or_cannot_be_is_one_sentence(work, capsys):
    space = ["--space", str(work / "space.toml")]
    for words, message in (
        ([], "name an environment and a space"),
        (["CartPole-v1"], "name an environment and a space"),
        (["CartPol-v1", *space], "unknown environment 'CartPol-v1'; did you mean 'CartPole"),
        (["CartPole-v1", "--space", "none.toml"], "there is no such file"),
        (
            ["CliffWalking-v1", *space, "--objective", "env_steps_to_solved"],
            "CliffWalking-v1 names no reward threshold",
        ),
    ):
        assert frank(["sweep", *words, "--out", str(work / "bad")]) == 2
        assert message in capsys.readouterr().err
    assert not (work / "bad").exists()


def test_in_python_bad_input_is_an_error(work):
    for arguments, message in (
        ({"env": "CartPole-v1", "space": {}}, "names no settings"),
        ({"env": "CartPole-v1", "space": 5}, "space must be a table for each setting"),
        ({"env": 5, "space": {}}, "env must be the name of an environment"),
        (
            {"env": lambda: None, "space": {"tau": {"choices": [0.5]}}},
            "was given from Python and has no name",
        ),
    ):
        with pytest.raises(FrankError, match=message):
            frankrl.sweep(**arguments, out=work / "bad")


class FailingEngine:
    """Every run fails."""

    slots = 2

    def __init__(self):
        self._jobs = []

    def begin(self, job):
        self._jobs.append(job)

    def ended(self, seconds):
        jobs, self._jobs = self._jobs, []
        return [Ended(job, False, "training diverged", fails_again=True) for job in jobs]

    def stop(self):
        pass

    def close(self):
        pass


def test_if_every_trial_fails_the_command_says_so(work, capsys, monkeypatch):
    monkeypatch.setattr(run_module, "engine_for", lambda *_, **__: FailingEngine())
    assert command(work, out="failing") == 2
    assert "every trial of" in (errors := capsys.readouterr().err)
    assert "has failed; the first one: training diverged" in errors.splitlines()[-1]
    trials = read_trials(work / "failing" / "trials")
    assert [trial.state for trial in trials.values()] == ["failed"] * 3
    # A grid has four points.
    assert command(work, out="points", trials=9) == 2
    assert "4 trials of 1 run each" in capsys.readouterr().err


def test_commands_are_printed_for_the_runs_that_can_begin(work, capsys):
    more = ("--print", "--lag", "2")
    assert command(work, *more, out="printed") == 0
    out, errors = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split("/")[-1] for line in lines] == ["runs-0000-s100.json", "runs-0001-s100.json"]
    assert all(line.startswith("frank job ") for line in lines)
    assert "0 of 3 trials over; when these commands are done" in errors
    assert [trial.state for trial in read_trials(work / "printed" / "trials").values()] == [
        "running",
        "running",
    ]
