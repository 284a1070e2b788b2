"""The same training with several seeds."""

import contextlib
import dataclasses
import json
import shutil
import sqlite3

import gymnasium
import numpy as np
import pytest

import frankrl
from frankrl.cli.main import main as frank
from frankrl.cli.parsing import SaysEnvSteps
from frankrl.core.errors import FrankError, FrankWarning, RunFolderError, SettingError
from frankrl.core.score import score
from frankrl.experiments import run
from frankrl.jobs import is_done
from frankrl.jobs.driving import driven
from frankrl.runs import RunFolder
from frankrl.runs.group import RunGroup
from frankrl.seeds import resume as resuming
from frankrl.seeds import train as seeds
from frankrl.seeds.evaluation import SeedsEvaluation

SHORT = {
    "total_env_steps": 300,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": 100,
    "checkpoint_every_env_steps": 100,
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


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Two runs that are over, in a folder of their own."""
    out = tmp_path_factory.mktemp("seeds") / "several"
    return frankrl.train("CartPole-v1", seeds=[6, 5], out=out, processes=2, progress=False, **SHORT)


def test_each_seed_gives_what_a_run_of_its_own_gives(group, tmp_path):
    assert group.seeds == (6, 5)
    assert [run.name for run in group.runs] == ["s6", "s5"]
    for seed, outcome in zip(group.seeds, group.outcomes, strict=True):
        alone = frankrl.train("CartPole-v1", seed=seed, out=tmp_path / f"alone{seed}", **SHORT)
        assert outcome.final_return == alone.evaluation["mean_return"]
    assert group.final == score(np.array([each.final_return for each in group.outcomes]))
    assert repr(group).startswith("2 seeds (6, 5): mean return ")
    assert [record["seed"] for record in group.report()] == [6, 5]


def test_a_group_is_evaluated_as_one(group, capsys):
    found = frankrl.evaluate(group, episodes=3, progress=False)
    each = [frankrl.evaluate(run, episodes=3, progress=False) for run in group.runs]
    assert found.seeds == (6, 5)
    means = [one.mean_return for one in each]
    assert [one.mean_return for one in found.evaluations] == means
    assert found.score == score(np.array(means))
    assert frank(["evaluate", str(group.path), "--episodes", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["score"]["middle"] == found.score.middle
    # Of two seeds there is neither an interquartile mean nor an interval.
    assert printed["score"]["middle_is"] == "mean"
    assert printed["score"]["low_to_high_is"] == "range"
    assert [run["seed"] for run in printed["runs"]] == [6, 5]


def test_a_group_is_plotted_as_one_curve(group, tmp_path):
    alone = frankrl.plot(group.runs, out=tmp_path / "alone.png").path.read_bytes()
    assert frankrl.plot(group, out=tmp_path / "one.png").path.read_bytes() == alone
    assert frankrl.plot(str(group.path)).path == group.path / "plot.png"


def test_a_group_that_is_there_goes_on_and_is_not_begun_anew(group, capsys):
    out = str(group.path)
    with pytest.raises(RunFolderError, match="holds the runs of several seeds already"):
        frankrl.train("CartPole-v1", seeds=range(2), out=out, **SHORT)
    assert frank(["train", "CartPole-v1", "--seeds", "2", "--out", out]) == 2
    assert f"frank train --resume {out}" in capsys.readouterr().err
    assert frankrl.resume(out, progress=False).outcomes == group.outcomes
    with pytest.raises(SettingError, match="so gamma cannot be given: only total_env_steps may"):
        frankrl.resume(group, total_env_steps=400, gamma=0.5)
    with pytest.raises(SettingError, match="is 300 and can only become larger, got 299"):
        frankrl.resume(group, total_env_steps=299)
    assert frank(["train", "--resume", out, "--gamma", "0.5"]) == 2
    assert "--gamma cannot be given: only --total-env-steps may" in capsys.readouterr().err


def test_a_group_goes_on_to_a_larger_budget_as_each_of_its_runs_does(group, tmp_path, capsys):
    alone = shutil.copytree(group.path, tmp_path / "alone")
    wanted = [frankrl.resume(alone / run.name, total_env_steps=400) for run in group.runs]
    several = shutil.copytree(group.path, tmp_path / "several")
    assert frank(["train", "--resume", str(several), "--total-env-steps", "400"]) == 0
    assert "2 seeds (6, 5): mean return" in capsys.readouterr().err
    found = frankrl.resume(several, progress=False)
    for outcome, result in zip(found.outcomes, wanted, strict=True):
        assert outcome.env_steps == result.env_steps == 400
        assert outcome.final_return == result.evaluation["mean_return"]
    assert json.loads((several / "group.json").read_text())["settings"]["training"] == (
        json.loads((group.path / "group.json").read_text())["settings"]["training"]
        | {"total_env_steps": 400}
    )
    with pytest.raises(SettingError, match="is 400 and can only become larger, got 300"):
        frankrl.resume(several, total_env_steps=300)


def test_where_no_bar_can_be_drawn_each_share_of_the_env_steps_is_a_line(capsys):
    says = SaysEnvSteps()
    for done in range(8, 1_001, 8):
        says(done, 1_000)
    lines = capsys.readouterr().err.splitlines()
    # The first one, then one every 5 %; at the end the runs are named.
    assert lines == [f"env steps {done:>5}/1,000" for done in range(8, 1_000, 56)]


@pytest.mark.parametrize("s5_is", ["not begun again", "begun again"])
def test_what_was_killed_on_the_way_to_a_larger_budget_goes_on_to_it(group, tmp_path, s5_is):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    opened = RunGroup.open(copied)
    larger = opened.description.settings.with_changes(total_env_steps=400)
    opened.with_settings(larger)
    # The other run has come to the new end.
    frankrl.resume(copied / "s6", total_env_steps=400)
    if s5_is == "begun again":
        # A run that goes on stores its settings first, and keeps its report until it has another.
        s5 = RunFolder.open(copied / "s5")
        s5.with_description(dataclasses.replace(s5.description, settings=larger))
    else:
        with pytest.raises(SettingError, match=r"to a larger total_env_steps .*leave ray out"):
            frankrl.resume(copied, ray="127.0.0.1:1")
    assert [each.env_steps for each in frankrl.resume(copied).outcomes] == [400, 400]


def put_garbage(run):
    (run / "config.toml").write_text("garbage [")


def put_damaged_checkpoints(run):
    for checkpoint in (run / "checkpoints").iterdir():
        (checkpoint / "state.json").write_text("{}")


@pytest.mark.parametrize("put", [put_garbage, put_damaged_checkpoints])
def test_a_larger_budget_is_written_once_every_run_was_checked(group, tmp_path, put):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    put(copied / "s5")
    before = (copied / "group.json").read_bytes()
    with pytest.raises(RunFolderError, match="is damaged"):
        frankrl.resume(copied, total_env_steps=400)
    assert (copied / "group.json").read_bytes() == before
    with pytest.raises(SettingError, match="leave ray out"):
        frankrl.resume(copied, total_env_steps=400, ray="127.0.0.1:1")


def test_names_of_other_libraries_are_answered_for_a_group_too(group, capsys):
    assert frank(["train", "--resume", str(group.path), "--total-timesteps", "400"]) == 2
    assert "give --total-env-steps 400" in capsys.readouterr().err
    assert RunGroup.open(group.path).description.settings.budget == 300


def test_a_group_that_another_process_has_changed_meanwhile_is_not_changed(
    group, tmp_path, monkeypatch
):
    copied = shutil.copytree(group.path, tmp_path / "copy")

    @contextlib.contextmanager
    def after_the_other_process(path):
        opened = RunGroup.open(path)
        opened.with_settings(opened.description.settings.with_changes(total_env_steps=500))
        yield

    monkeypatch.setattr(resuming, "driven", after_the_other_process)
    with pytest.raises(RunFolderError, match=r"has changed .* meanwhile: give the command again"):
        frankrl.resume(copied, total_env_steps=400)
    assert RunGroup.open(copied).description.settings.budget == 500


def test_solved_runs_remain_over_and_one_without_its_report_comes_to_its_end_first(tmp_path):
    settings = SHORT | {"until_solved": True, "total_env_steps": 900, "preset": "default"}
    out, env_id = tmp_path / "easy", "frank_easy:Easy-v0"
    solved = frankrl.train(env_id, seeds=[1, 2], out=out, processes=1, progress=False, **settings)
    with pytest.warns(FrankWarning, match="every run of .* was solved or has diverged, so none"):
        again = frankrl.resume(out, total_env_steps=1_200)
    assert again.outcomes == solved.outcomes
    assert RunGroup.open(out).description.settings.budget == 900
    (out / "s2" / "report.json").unlink()
    with pytest.raises(SettingError, match=r"s2 was solved.* without total_env_steps first"):
        frankrl.resume(out, total_env_steps=1_200)
    assert frankrl.resume(out).outcomes[1].final_return == solved.outcomes[1].final_return


def test_a_larger_budget_is_not_written_where_another_process_drives_the_group(group, tmp_path):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    before = (copied / "group.json").read_bytes()
    with driven(copied), pytest.raises(RunFolderError, match="are being written by"):
        frankrl.resume(copied, total_env_steps=400)
    assert (copied / "group.json").read_bytes() == before


def test_runs_that_were_solved_or_have_ended_themselves_are_over_for_any_budget(group, tmp_path):
    run = shutil.copytree(group.runs[0], tmp_path / "run")
    report = json.loads((run / "report.json").read_text())
    larger = RunFolder.open(run).description.settings.with_changes(total_env_steps=400)
    assert is_done(run)
    assert not is_done(run, larger)
    (run / "report.json").write_text(json.dumps(report | {"solved": {"env_steps": 200}}))
    assert not is_done(run, larger)
    assert is_done(run, larger.with_changes(until_solved=True))
    (run / "report.json").write_text(json.dumps(report | {"stop_reason": "it diverged"}))
    assert is_done(run, larger)


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_the_env_steps_are_those_of_the_agents_that_were_evaluated(group, tmp_path):
    out = tmp_path / "several"
    shutil.copytree(group.path, out)
    newest = max((out / "s5" / "checkpoints").iterdir())
    for file in newest.glob("*network*.safetensors"):
        file.write_bytes(b"damaged")
    for best in (False, True):
        each = [frankrl.load(run, best=best).env_steps for run in (out / "s6", out / "s5")]
        found = frankrl.evaluate(str(out), episodes=1, best=best, progress=False)
        assert list(found.env_steps) == each
    assert frankrl.load(out / "s5").env_steps < int(newest.name)


def test_resuming_a_group_refuses_what_one_run_alone_can_be_given(group):
    for more in ({"on_event": print}, {"metrics": dict}, {"actors": 2}):
        (name,) = more
        with pytest.raises(SettingError, match=f"{name} cannot be given with seeds"):
            frankrl.resume(group, **more)


def test_a_result_stands_where_a_folder_does(group):
    with pytest.raises(RunFolderError, match=r"holds the runs of several seeds.*name one of them"):
        frankrl.load(group)


def test_code_without_a_name_leaves_no_folder(tmp_path):
    class Here(gymnasium.Env):
        pass

    with pytest.raises(FrankError):
        frankrl.train(Here, seeds=[0, 1], out=tmp_path / "group", **SHORT)
    assert not (tmp_path / "group").exists()


def test_a_run_without_a_row_is_left_out_of_the_group_s_plot(group, tmp_path):
    out = tmp_path / "several"
    shutil.copytree(group.path, out)
    with contextlib.closing(sqlite3.connect(out / "s5" / "metrics.sqlite")) as metrics:
        for table in ("episodes", "training"):
            metrics.execute(f"DELETE FROM {table}")
        metrics.commit()
    with pytest.warns(FrankWarning, match="left out of the plot: .*s5 has nothing to plot"):
        assert frankrl.plot(str(out)).path.exists()


def test_a_run_that_is_missing_in_a_group_is_made(group, tmp_path):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    shutil.rmtree(copied / "s5")
    again = frankrl.resume(copied, progress=False)
    assert [each.final_return for each in again.outcomes] == [
        each.final_return for each in group.outcomes
    ]


def test_an_evaluation_of_a_group_says_which_runs_are_behind_and_which_are_missing(group, tmp_path):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    shutil.rmtree(copied / "s5" / "checkpoints")
    found = frankrl.evaluate(copied, episodes=1, progress=False)
    assert (found.seeds, found.env_steps, found.missing) == ((6,), (304,), (5,))
    assert repr(found).startswith("1 seed (6), without 5, which has no checkpoint yet: mean return")
    assert found.summary()["missing"] == [5]
    assert found.summary()["runs"][0]["env_steps"] == 304
    uneven = SeedsEvaluation((1, 2), found.evaluations * 2, (6_000, 8_000))
    assert repr(uneven).startswith("2 seeds (1–2), trained for 6,000 to 8,000 env steps: mean")
    shutil.rmtree(copied / "s6")
    with pytest.raises(RunFolderError, match=r"no run of .* has a checkpoint yet"):
        frankrl.evaluate(copied, progress=False)


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "--update", "3"],
        ["film"],
        ["export", "--onnx", "a.onnx"],
        ["train", "CartPole-v1", "--init-from"],
    ],
)
def test_a_group_where_one_run_is_meant_is_answered_with_its_runs(group, capsys, command):
    place = 1 if command[0] != "train" else len(command)
    words = [*command[:place], str(group.path), *command[place:]]
    assert frank(words) == 2
    printed = capsys.readouterr().err
    assert "holds the runs of several seeds, and this takes one run: name one of them" in printed
    assert f"such as {group.path / 's5'}" in printed


def test_a_link_among_processes_is_refused_as_well(group, tmp_path):
    copied = shutil.copytree(group.path, tmp_path / "copy")
    shutil.move(copied / "s5", tmp_path / "elsewhere")
    (copied / "s5").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="s5 is a link"):
        frankrl.resume(copied, progress=False)


def test_an_error_before_any_run_leaves_no_folder(tmp_path, monkeypatch):
    def engine_for(*_, **__):
        raise FrankError("no engine")

    monkeypatch.setattr(seeds, "engine_for", engine_for)
    with pytest.raises(FrankError, match="no engine"):
        frankrl.train("CartPole-v1", seeds=range(2), out=tmp_path / "out", **SHORT)
    assert not (tmp_path / "out").exists()


def test_the_runs_on_a_cluster_may_be_published_where_the_command_says(tmp_path, monkeypatch):
    def engine_for(*_, ray, publish, **__):
        raise FrankError(f"{ray} {publish}")

    monkeypatch.setattr(seeds, "engine_for", engine_for)
    with pytest.raises(FrankError, match=r"h:1 s3://bucket/folder"):
        frankrl.train(
            *("CartPole-v1",),
            **dict(seeds=(0, 1), out=tmp_path, ray="h:1", publish="s3://bucket/folder", **SHORT),
        )
    with pytest.raises(SettingError, match="give ray, too"):
        frankrl.train("CartPole-v1", seeds=(0, 1), out=tmp_path, publish="s3://b/f", **SHORT)


def test_publish_and_ray_come_from_the_command_line(tmp_path, monkeypatch, capsys):
    def engine_for(*_, ray, publish, **__):
        raise FrankError(f"asked {ray} {publish}")

    monkeypatch.setattr(seeds, "engine_for", engine_for)
    monkeypatch.setattr(run, "engine_for", engine_for)
    more = ["--seeds", "2", "--out", str(tmp_path), "--ray", "h:1", "--publish", "s3://b/f"]
    for command in (["train", "CartPole-v1", *FLAGS], ["experiment", "replay"]):
        assert frank([*command, *more]) == 2
        assert "asked h:1 s3://b/f" in capsys.readouterr().err


def test_printed_commands_then_resuming_gives_the_results(tmp_path, capsys):
    out = str(tmp_path / "runs")
    assert frank(["train", "CartPole-v1", "--seeds", "7-8", "--out", out, *FLAGS, "--print"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert frank(line.split()[1:]) == 0
    capsys.readouterr()
    # All is done, so no cluster is looked for.
    assert frank(["train", "--resume", out, "--json", "--ray", "127.0.0.1:1"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert [record["seed"] for record in json.loads(line)["runs"]] == [7, 8]
    assert "seed 8: mean return" in printed.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--seeds", "9-3"], "and 9 is larger than 3, got '9-3'"),
        (["--seeds", "9-"], "--seeds must be a number of seeds, such as 64"),
        (["--seeds", ""], "--seeds must be a number of seeds, such as 64"),
        (["--seeds", "many"], "got 'many'"),
        (["--seeds", "3", "--seed", "7"], "give --seeds 7-9, for example"),
        (["--seeds", "3", "--seed", "0"], "give --seeds 0-2, for example"),
        (["--seeds", "3", "--seed=0"], "--seed cannot be given with it"),
        (["--seeds", "2", "--overwrite"], "--overwrite cannot be given with --seeds: it trains"),
        (
            ["--processes", "2", "--overwrite"],
            "--overwrite cannot be given with --processes: it trains in a new folder",
        ),
        (
            ["--seeds", "2", "--publish", "x"],
            "--publish cannot be given with --seeds: it is for one run",
        ),
        (
            ["--seeds", "2", "--init-from", "x"],
            "--init-from cannot be given with --seeds: its runs",
        ),
        (["--processes", "-2"], "processes must be"),
    ],
)
def test_mistakes_give_one_line(tmp_path, capsys, more, words):
    assert frank(["train", "CartPole-v1", *more, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seeds": 3}, "a sequence of whole numbers, such as range"),
        ({"seeds": "123"}, "a sequence of whole numbers"),
        ({"seeds": []}, "got 0"),
        ({"seeds": [1, 2, 1]}, "1 is given twice"),
        ({"seeds": [1, -2]}, "got -2"),
        ({"seeds": [1], "seed": 2}, "seed cannot be given with seeds: it names all"),
        (
            {"seeds": [1], "on_event": print},
            "on_event cannot be given with seeds: it is for one run",
        ),
        ({"processes": 2}, "give seeds, too"),
    ],
)
def test_mistakes_in_python_are_named(tmp_path, arguments, words):
    with pytest.raises(SettingError, match=words):
        frankrl.train("CartPole-v1", out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
