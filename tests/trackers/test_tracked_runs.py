"""Runs with trackers: attached in both interfaces, and never in the way of a run."""

import re
import shutil
import sys

import own_tracker
import pytest
from foreign_runs import foreign_copy
from robustness.runs import contents, killed_copy
from tracked import CLOCK, held, of_metrics, without_clock

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import FrankError, FrankWarning, MissingExtraError, SettingError
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.checkpoint_folder import remove_checkpoint
from frankrl.runs.layout import CONFIG
from frankrl.trackers import names

SMALL = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 2,
    "learning_starts_env_steps": 100,
    "total_env_steps": 600,
    "log_every_env_steps": 50,
    "checkpoint_every_env_steps": 200,
    "evaluate_every_env_steps": 200,
    "evaluation_episodes": 1,
    "final_evaluation_episodes": 2,
}


@pytest.fixture
def lines(tmp_path_factory, monkeypatch):
    """The tracker `lines` of another package, installed."""
    place = tmp_path_factory.mktemp("site")
    own_tracker.install(place)
    monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("FRANK_TRACKER_CANARY", str(place / "canary"))
    yield place
    sys.modules.pop("own_lines", None)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    """A run without trackers."""
    path = tmp_path_factory.mktemp("plain") / "run"
    frankrl.train("CartPole-v1", out=path, **SMALL)
    return path


def logged(run):
    lines = (run.parent / f"{run.name}-lines.txt").read_text().splitlines()
    rows = [line.split() for line in lines]
    return held((int(env_steps), {name: float(value)}) for env_steps, name, value in rows)


def go_back_to(run, env_steps):
    """Leave a run as a kill right after this checkpoint would have left it."""
    for checkpoint in list_checkpoints(run / "checkpoints"):
        if int(checkpoint.name) > env_steps:
            remove_checkpoint(checkpoint)


def test_a_tracker_of_another_package_gets_the_numbers_of_the_metrics(lines, tmp_path, plain_run):
    run = tmp_path / "run"
    frankrl.train("CartPole-v1", out=run, log="lines", **SMALL)
    found = logged(run)
    assert without_clock(found) == of_metrics(run)
    for name in CLOCK:
        assert [step for step, of in found if of == name] == list(range(50, 601, 50))
    assert contents(run) == contents(plain_run)


def test_after_a_kill_and_a_resume_no_env_step_is_logged_twice(lines, tmp_path, plain_run):
    run = tmp_path / "run"
    frankrl.train("CartPole-v1", out=run, log=["lines"], **SMALL)
    go_back_to(run, 400)
    frankrl.resume(run, total_env_steps=800)
    found, wanted = without_clock(logged(run)), of_metrics(run)
    assert {key: found[key] for key in wanted} == wanted
    # The evaluation that ended the shorter run stays in the tracker.
    assert {name for step, name in found.keys() - wanted.keys() if step == 600} == {
        "eval_final/mean_reward",
        "eval_final/std_reward",
        "eval_final/mean_ep_length",
    }
    assert {step for step, _ in found.keys() - wanted.keys()} == {600}


def test_a_tracker_that_is_named_on_a_resume_gets_the_whole_run(lines, plain_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    frankrl.resume(run, log=["lines"], total_env_steps=800)
    found = logged(run)
    assert without_clock(found) == of_metrics(run)
    for name in CLOCK:
        assert [step for step, of in found if of == name] == list(range(50, 801, 50))


OWN = SMALL | {
    "info_metrics": ["reward"],
    "metrics": lambda event: {"half": event.env_steps / 2},
    "env_kwargs": {"share": 0.0},
    "total_env_steps": 300,
    "evaluate_every_env_steps": 100,
}


def test_own_numbers_and_successes_are_logged_also_after_a_kill_and_to_a_later_tracker(
    lines, tmp_path
):
    run, later = tmp_path / "run", tmp_path / "later"
    frankrl.train("failing_envs:Failing-v0", out=run, log=["lines"], **OWN)
    wanted = of_metrics(run)
    names_told = {name for _, name in wanted}
    assert names_told > {"own/reward", "own/half", "rollout/success_rate", "eval/solved"}
    assert without_clock(logged(run)) == wanted
    killed_copy(run, later)
    go_back_to(run, 200)
    frankrl.resume(run, metrics=OWN["metrics"])
    assert without_clock(logged(run)) == wanted
    # Without notes about it, the tracker holds nothing of the copy.
    shutil.rmtree(later / "trackers")
    frankrl.resume(later, metrics=OWN["metrics"])
    assert without_clock(logged(later)) == wanted == of_metrics(later)


def test_the_command_line_names_trackers_and_a_resume_may_name_others(lines, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", "CartPole-v1", "--out", str(run), "--preset", "default"]
    words += ["--hidden-widths", "8", "--num-envs", "2", "--total-env-steps", "600"]
    words += ["--learning-starts-env-steps", "100", "--log-every-env-steps", "100"]
    words += ["--final-evaluation-episodes", "none"]
    assert main([*words, "--log", "lines"]) == 0
    assert RunFolder.open(run).description.settings.saving.log == ("lines",)
    before = logged(run)
    assert main(["train", "--resume", str(run), "--log", "--total-env-steps", "650"]) == 0
    assert RunFolder.open(run).description.settings.saving.log == ()
    assert logged(run) == before
    capsys.readouterr()


BROKEN = """
class Broken:
    kept = {}
    def __init__(self, run):
        if WHERE == "open": raise RuntimeError("broken")
    def logged(self):
        return None
    def log(self, env_steps, values):
        if WHERE == "log": raise RuntimeError("broken")
    def close(self):
        if WHERE == "close": raise RuntimeError("broken")
"""


@pytest.mark.parametrize("where", ["open", "log", "close"])
def test_a_tracker_that_fails_is_a_warning_and_the_run_is_the_same(
    lines, tmp_path, plain_run, where
):
    (lines / "own_lines.py").write_text(f"WHERE = {where!r}\n{BROKEN}\nLines = Broken\n")
    sys.modules.pop("own_lines", None)
    run = tmp_path / "run"
    with pytest.warns(FrankWarning) as told:
        frankrl.train("CartPole-v1", out=run, log=["lines"], **SMALL)
    assert re.match("the tracker lines .* RuntimeError: broken; the run go", str(told[0].message))
    assert contents(run) == contents(plain_run)


def test_an_unknown_tracker_is_refused_before_anything_is_written(lines, tmp_path, capsys):
    words = ["train", "CartPole-v1", "--out", str(tmp_path / "run"), "--log", "tensorbord"]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "of tensorboard, trackio, wandb, mlflow, lines, got 'tensorbord'" in line
    assert "did you mean 'tensorboard'?" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", names.BUILT_IN)
def test_a_missing_extra_is_named_before_anything_is_written(name, tmp_path, monkeypatch, capsys):
    module = names.BUILT_IN[name].module
    found = names.importlib.util.find_spec
    monkeypatch.setattr(
        names.importlib.util, "find_spec", lambda asked: None if asked == module else found(asked)
    )
    assert main(["train", "CartPole-v1", "--out", str(tmp_path / "run"), "--log", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'pip install "frankrl[{name}]"' in line
    assert not (tmp_path / "run").exists()
    with pytest.raises(MissingExtraError):
        frankrl.train("CartPole-v1", out=tmp_path / "run", log=name)


@pytest.mark.parametrize("value", [3, None, ["tensorboard", 3], {"tensorboard": 1}])
def test_what_is_no_list_of_names_is_refused(value, tmp_path):
    with pytest.raises(SettingError, match="log must be a list of texts"):
        frankrl.train("CartPole-v1", out=tmp_path / "run", log=value)


@pytest.fixture
def foreign(lines, plain_run, tmp_path):
    """A run of somebody else that names the tracker `lines`."""
    path = foreign_copy(plain_run, tmp_path / "foreign", "CartPole-v1")
    config = (path / CONFIG).read_text()
    (path / CONFIG).write_text(re.sub(r"(?m)^log = .*", 'log = ["lines"]', config))
    assert RunFolder.open(path).description.settings.saving.log == ("lines",)
    return path


def test_a_tracker_that_a_foreign_run_names_is_not_imported(foreign, lines, capsys):
    with pytest.raises(FrankError, match="names the tracker lines, so nothing of that is imported"):
        frankrl.resume(foreign, total_env_steps=650)
    assert main(["train", "--resume", str(foreign), "--total-env-steps", "650"]) == 2
    assert "--log lines" in capsys.readouterr().err
    # Other commands use no tracker, so they need no permission.
    assert main(["evaluate", str(foreign), "--episodes", "1"]) == 0
    assert main(["train", "--resume", str(foreign), "--log", "--total-env-steps", "650"]) == 0
    assert not (lines / "canary").exists()


def test_a_film_goes_to_no_tracker_of_a_foreign_run_and_to_none_where_none_is_named(
    foreign, lines, plain_run, capsys
):
    assert main(["film", str(foreign), "--log"]) == 2
    assert "names the tracker lines, so nothing of that is imported" in capsys.readouterr().err
    assert not (lines / "canary").exists()
    assert main(["film", str(plain_run), "--log"]) == 2
    assert "names no trackers" in capsys.readouterr().err
    assert not (plain_run / "videos").exists()


@pytest.mark.parametrize("how", [{"log": ["lines"]}, {"log": "lines"}, {"allow_code": True}])
def test_a_user_who_names_the_tracker_or_allows_the_code_gets_it(foreign, lines, how):
    frankrl.resume(foreign, total_env_steps=650, **how)
    assert (lines / "canary").exists()
    assert max(logged(foreign))[0] == 650


def test_ones_own_run_keeps_its_trackers_on_a_resume_without_a_word(lines, tmp_path):
    run = tmp_path / "run"
    frankrl.train("CartPole-v1", out=run, log=["lines"], **SMALL)
    frankrl.resume(run, total_env_steps=650)
    assert max(logged(run))[0] == 650


def test_a_folder_of_trackers_that_is_a_link_is_refused(plain_run, tmp_path):
    path = foreign_copy(plain_run, tmp_path / "foreign", "CartPole-v1")
    (path / "trackers").symlink_to(tmp_path)
    with pytest.raises(FrankError, match="is a link; everything of a run lies in its folder"):
        frankrl.resume(path, total_env_steps=650)
