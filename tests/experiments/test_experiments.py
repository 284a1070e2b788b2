"""Experiments: arms that differ in one thing, runs done once, scores with their spread."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hanging import HANGS_AFTER_SECONDS
from long_forms import some_of

import frankrl
from frankrl.cli.main import main as frank
from frankrl.config import group_of
from frankrl.core.errors import FrankError, SettingError
from frankrl.core.figures import figure
from frankrl.core.score import score
from frankrl.core.stopping import StoppedAtOnceError, StoppedError
from frankrl.experiments import EXPERIMENTS, Arm, Experiment, Study, results_of, run_study
from frankrl.experiments.claims import settings_of
from frankrl.experiments.family import RAINBOW, SWITCHES, members
from frankrl.experiments.results import ArmResult
from frankrl.experiments.study import paths_of
from frankrl.experiments.writing import as_markdown, as_plain, drawing, intervals, write
from frankrl.jobs import is_done, outcome_of
from frankrl.jobs.local import LocalEngine
from frankrl.runs import list_checkpoints
from frankrl.runs.group import RunGroup
from frankrl.training.preparing import prepare
from frankrl.training.session import run_to_end

pytestmark = pytest.mark.slow

ABOUT = {
    "replay": {"replay_sampling"},
    "target": {"target_period_updates", "tau"},
    "epsilon": {"epsilon_start", "epsilon_end"},
    "reuse": {"replay_ratio", "replay_capacity"},
    "ends": {"bootstrap_on"},
    "props": {"algorithm", "trace_decay", "optimiser", "vector_steps_per_round", "layer_norm"},
    "lag": {"replay_sampling", "vector_steps_per_round"},
    "family": {
        *("double", "dueling", "n_step", "replay_sampling", "noisy", "distribution"),
        *(
            "munchausen",
            "target_period_updates",
            "tau",
            "loss",
            "layer_norm",
            "polyak_window_updates",
        ),
    },
}
SHORT = {
    "total_env_steps": 400,
    "learning_starts_env_steps": 100,
    "evaluate_every_env_steps": 100,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "checkpoint_every_env_steps": 200,
}


def study_in(folder, seeds=(0, 1)):
    arms = (Arm("one", SHORT), Arm("other", SHORT | {"tau": 0.5}))
    return Study(Experiment("Nothing is claimed.", arms), ("CartPole-v1",), seeds, folder)


def test_runs_of_another_device_are_other_runs_with_the_same_settings_otherwise(tmp_path):
    here = study_in(tmp_path)
    there = dataclasses.replace(here, device="gpu")
    for arm in here.experiment.arms:
        own, other = (study.settings("CartPole-v1", arm).values() for study in (here, there))
        assert (own["device"], other["device"]) == ("cpu", "gpu")
        assert own | {"device": "gpu"} == other
        assert here.path_of("CartPole-v1", arm, 0) != there.path_of("CartPole-v1", arm, 0)


def test_a_device_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(SettingError, match="device must be one of auto, cpu, gpu, got 'tpu'"):
        frankrl.experiment("replay", device="tpu", out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_of_many_seeds_the_quantiles_are_listed_and_the_middle_half_is_drawn(tmp_path):
    study = study_in(tmp_path, seeds=tuple(range(101)))
    # Shuffled, and chosen so that each quantile is one of them.
    finals = np.random.default_rng(0).permutation(np.arange(101.0))
    curves = np.stack([finals, 2 * finals], axis=1)
    arms = [
        ArmResult("CartPole-v1", name, finals, np.array([200.0, 400.0]), curves)
        for name in ("one", "other")
    ]
    table = as_markdown(study, arms)
    assert "final returns of the seeds: 0, 10, 25, 50, 75, 90, 100 %" in table
    assert table.count("| 0.0; 10.0; 25.0; 50.0; 75.0; 90.0; 100.0 |") == 2
    (panel,) = drawing(study, arms).axes
    assert panel.figure.get_suptitle() == "median and middle half of 101 seeds"
    for area in panel.collections:
        corners = {tuple(corner) for path in area.get_paths() for corner in path.vertices.tolist()}
        assert corners == {(200.0, 25.0), (400.0, 50.0), (400.0, 150.0), (200.0, 75.0)}
    few = as_markdown(study_in(tmp_path), [arm._replace(final_returns=finals[:2]) for arm in arms])
    assert "each seed's final return" in few


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    study, reported = study_in(tmp_path_factory.mktemp("study")), []
    stopped = study.jobs()[1]
    # One of its runs has been begun before, and was stopped halfway.
    training = prepare(stopped.env_id, stopped.preset, stopped.settings, stopped.seed, stopped.run)
    run_to_end(training, lambda event: None, lambda: training.ticks >= 150)
    assert not is_done(stopped.run)
    run_study(study, lambda: LocalEngine(2), reported.append)
    return study, reported


@pytest.mark.parametrize(
    ("name", "env_id"),
    [(name, env_id) for name, each in EXPERIMENTS.items() for env_id in each.environments],
)
def test_the_arms_of_an_experiment_differ_in_what_it_is_about_alone(name, env_id):
    experiment = EXPERIMENTS[name]
    tables = [settings_of(experiment, arm, env_id).to_tables() for arm in experiment.arms]
    # An arm's tables leave its idle settings out: those belong to a choice, and that differs.
    found = {}
    for table in tables:
        for setting, value in (item for group in table.values() for item in group.items()):
            found.setdefault(setting, set()).add(json.dumps(value))
    differing = {setting for setting, values in found.items() if len(values) > 1}
    assert differing == ABOUT[name]
    assert len({json.dumps(table) for table in tables}) == len(tables)


def test_the_family_has_each_switch_alone_and_rainbow_without_each_of_its_parts():
    arms = dict(members())
    assert list(arms)[: len(SWITCHES)] == list(SWITCHES)
    for part in RAINBOW:
        rest = arms[f"Rainbow without {part}"]
        assert arms["Rainbow"] == rest | SWITCHES[part]
        assert not rest.keys() & SWITCHES[part].keys()
    assert len(arms) == len(SWITCHES) + 1 + len(RAINBOW)


def test_every_run_is_done_and_reported_once(done):
    study, reported = done
    assert sorted(reported) == sorted(job.run for job in study.jobs())
    assert all(is_done(job.run) for job in study.jobs())


def test_a_run_of_a_study_is_the_training_that_its_settings_say(done, tmp_path):
    study, _ = done
    for job in study.jobs()[:2]:  # the second was continued
        alone = prepare(job.env_id, "alone", job.settings, job.seed, tmp_path / job.run.name)
        result = run_to_end(alone, lambda event: None)
        assert outcome_of(job.run).final_return == result.evaluation["mean_return"]
        ours, theirs = (
            list_checkpoints(path / "checkpoints")[-1] for path in (job.run, result.run)
        )
        file = "q_network.safetensors"
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()


def test_what_is_done_is_not_done_again(done):
    study, _ = done
    before = {job.run: (job.run / "report.json").stat().st_mtime_ns for job in study.jobs()}
    reported = []
    # So nothing is needed that could do it.
    run_study(study, lambda: pytest.fail("no engine is needed"), reported.append)
    assert len(reported) == len(before)
    assert before == {p: (p / "report.json").stat().st_mtime_ns for p in before}


@pytest.fixture(scope="module")
def in_groups(tmp_path_factory):
    """A study of an environment that is a function."""
    arms = study_in(None).experiment.arms
    folder = tmp_path_factory.mktemp("groups")
    study = Study(Experiment("", arms), ("frankrl/CartPole-functional-v0",), (3, 4, 5), folder)
    reported = []
    assert run_study(study, lambda: pytest.fail("no engine is needed"), reported.append)
    return study, reported


def test_all_seeds_of_an_arm_are_one_group_where_the_environment_is_a_function(in_groups):
    study, reported = in_groups
    env_id = study.env_ids[0]
    assert len(reported) == study.num_runs == 6
    assert all(is_done(run) for run in reported)
    for arm in study.experiment.arms:
        group = RunGroup.open(study.group_path(env_id, arm))
        assert (group.seeds, group.lanes) == ((3, 4, 5), 3)
        assert [group.path_of(seed) for seed in group.seeds] == paths_of(study, env_id, arm)
    for result in results_of(study):
        assert result.final_returns.shape == (3,)
        assert result.evaluations.shape == (3, 4)


def test_groups_that_are_done_are_not_done_again(in_groups):
    study, before = in_groups
    times = [(run / "report.json").stat().st_mtime_ns for run in before]
    reported = []
    assert run_study(study, lambda: pytest.fail("no engine is needed"), reported.append)
    assert reported == before
    assert times == [(run / "report.json").stat().st_mtime_ns for run in before]


def test_a_group_that_was_taken_on_to_a_larger_budget_is_not_that_of_the_study(in_groups, tmp_path):
    study = dataclasses.replace(in_groups[0], folder=tmp_path / "runs")
    shutil.copytree(in_groups[0].folder, study.folder)
    path = study.group_path(study.env_ids[0], study.experiment.arms[0])
    group = RunGroup.open(path)
    more = group.description.settings.budget + 100
    group.with_settings(group.description.settings.with_changes(total_env_steps=more))
    with pytest.raises(FrankError, match=rf"was taken on to {more:,} env steps, and the exper"):
        run_study(study, lambda: pytest.fail("no engine is needed"), lambda run: None)


def test_a_group_that_was_stopped_goes_on(in_groups, tmp_path):
    study, _ = in_groups
    again = dataclasses.replace(study, folder=tmp_path)

    class StudyStoppedError(Exception):
        pass

    def stop(run):
        raise StudyStoppedError

    # After the first of two arms.
    with pytest.raises(StudyStoppedError):
        run_study(again, lambda: pytest.fail("no engine is needed"), stop)
    env_id, (one, other) = study.env_ids[0], study.experiment.arms
    assert all(map(is_done, paths_of(again, env_id, one)))
    assert not again.group_path(env_id, other).exists()
    run_study(again, lambda: pytest.fail("no engine is needed"), lambda run: None)
    for ours, theirs in zip(results_of(again), results_of(study), strict=True):
        np.testing.assert_array_equal(ours.evaluations, theirs.evaluations)


def test_a_stop_within_a_group_says_how_the_whole_study_goes_on(in_groups, tmp_path, monkeypatch):
    def stopped(*arguments):
        raise StoppedError("stopped; the command of the group continues", 143)

    monkeypatch.setattr("frankrl.experiments.study.train_seeds", stopped)
    study = dataclasses.replace(in_groups[0], folder=tmp_path)
    with pytest.raises(StoppedError, match="the same command continues") as raised:
        run_study(study, lambda: pytest.fail("no engine is needed"), lambda run: None)
    assert raised.value.exit_status == 143


def test_experiments_share_the_runs_that_they_have_in_common(tmp_path):
    first, second = (
        Study(EXPERIMENTS[name], ("CartPole-v1",), (0,), tmp_path) for name in ("replay", "ends")
    )
    both = {job.run for job in first.jobs()} & {job.run for job in second.jobs()}
    assert len(both) == 1


def test_results_are_those_of_the_runs_in_the_order_of_arms_and_seeds(done):
    study, _ = done
    one, other = results_of(study)
    assert (one.arm, other.arm) == ("one", "other")
    expected = [
        outcome_of(study.path_of("CartPole-v1", study.experiment.arms[0], s)).final_return
        for s in (0, 1)
    ]
    assert one.final_returns.tolist() == expected
    assert one.env_steps.tolist() == [100, 200, 300, 400]
    assert one.evaluations.shape == (2, 4)


def test_table_data_and_figure_show_the_results(done, tmp_path):
    study, _ = done
    results = results_of(study)
    paths = write(study, "mine", results, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["mine.md", "mine.json", "mine.png"]
    text = paths[0].read_text("utf-8")
    assert text == as_markdown(study, results)
    for result in results:
        spread = (result.final.high - result.final.low) / 2
        assert f"| {result.arm} | {figure(result.final.middle, spread)} (" in text
    data = json.loads(paths[1].read_text("utf-8"))
    assert data == as_plain(study, results)
    assert data["arms"][1]["evaluations"] == results[1].evaluations.tolist()
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    (panel,) = drawing(study, results).axes
    np.testing.assert_array_equal(
        panel.lines[0].get_ydata(), np.median(results[0].evaluations, axis=0)
    )


def test_many_arms_are_drawn_as_a_row_each(done):
    study, _ = done
    results = results_of(study)
    (panel,) = intervals(study, results).axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["one", "other"]
    middles = [line.get_xdata() for line in panel.lines if line.get_marker() == "D"]
    np.testing.assert_array_equal(np.ravel(middles), [result.final.middle for result in results])


def test_the_middle_of_seeds_is_the_mean_of_their_middle_half():
    values = np.array([0.0, 10, 11, 12, 13, 14, 15, 1000])
    interval = score(values)
    assert interval.middle == pytest.approx(np.mean([11, 12, 13, 14]))
    assert interval.low < interval.middle < interval.high
    assert score(values) == interval  # the resampling has a seed of its own
    assert score(np.array([3.0])) == (3.0, 3.0, 3.0)
    assert score(np.array([3.0] * 5)) == (3.0, 3.0, 3.0)


def test_few_seeds_give_the_mean_and_the_range(done):
    study, _ = done
    assert score(np.array([1.0, 9.0, 2.0])) == (4.0, 1.0, 9.0)
    assert "Mean over seeds, with their range." in as_markdown(study, results_of(study))


def test_a_budget_of_the_experiment_gives_way_to_that_of_an_arm():
    arms = (Arm("long"), Arm("short", {"total_env_steps": 900}))
    experiment = Experiment("", arms, budgets={"CartPole-v1": 7_000})
    chosen = [settings_of(experiment, arm, "CartPole-v1") for arm in arms]
    assert [settings.training.total_env_steps for settings in chosen] == [7_000, 900]


@pytest.mark.parametrize(("count", "rows"), [(7, 0), (8, 8)])
def test_more_arms_than_can_be_distinguished_are_drawn_as_rows(tmp_path, count, rows):
    experiment = Experiment("", tuple(Arm(str(number)) for number in range(count)))
    study = Study(experiment, ("CartPole-v1",), (0, 1), tmp_path)
    evaluations = np.zeros((2, 3))
    results = [
        ArmResult("CartPole-v1", arm.name, np.array([1.0, 2.0]), np.arange(3.0), evaluations)
        for arm in experiment.arms
    ]
    (panel,) = drawing(study, results).axes
    assert sum(line.get_marker() == "D" for line in panel.lines) == rows


def test_the_interval_covers_the_true_mean_about_as_often_as_it_should():
    random = np.random.default_rng(0)
    intervals = [score(random.normal(5, 2, 20)) for _ in range(200)]
    covered = sum(interval.low <= 5 <= interval.high for interval in intervals)
    assert 170 <= covered <= 200


def test_learning_is_scored_by_the_mean_of_all_evaluations():
    evaluations = np.array([[0.0, 10.0], [20.0, 30.0]])
    result = ArmResult("E", "a", np.array([10.0, 30.0]), np.array([1.0, 2.0]), evaluations)
    assert result.learning == score(np.array([5.0, 25.0]))


def test_without_a_name_the_experiments_are_listed(capsys):
    assert frank(["experiment"]) == 0
    printed = capsys.readouterr().out
    for name, experiment in EXPERIMENTS.items():
        assert f"{name}: {experiment.claim}" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["targte"], "did you mean 'target'?"),
        (["target", "--envs", "CartPole-v0"], "got 'CartPole-v0'; did you mean 'CartPole-v1'?"),
        (["props", "--envs", "CartPole-v1"], "settings for frankrl/CartPole-functional-v0, "),
        (["target", "--seeds", "0"], "seeds must be at least 1"),
        (["target", "--seeds", "10001"], "at most 10,000"),
        (["target", "--first-seed", str(2**64 - 1), "--seeds", "2"], "seed must be"),
        (["target", "--processes", "-1"], "processes must be a whole number of at least 0"),
    ],
)
def test_mistakes_give_one_line(arguments, words, capsys, tmp_path):
    assert frank(["experiment", *arguments, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_nothing_is_started(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert frank(["experiment", "target", "--out", str(tmp_path / "out")]) == 2
    assert 'pip install "frankrl[plot]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_settings_that_are_changed_exist():
    for experiment in EXPERIMENTS.values():
        for arm in experiment.arms:
            assert all(group_of(name) for name in arm.changes)


def test_a_study_that_is_stopped_saves_its_runs_and_goes_on_later(tmp_path):
    """The command runs in a separate process and gets SIGTERM during its first run."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "frankrl", "experiment", "ends"]
    command += ["--envs", "CartPole-v1", "--seeds", "1", "--out", str(tmp_path)]
    study = subprocess.Popen(
        [*command, "--processes", "1"], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        runs = tmp_path / "runs" / "CartPole-v1"
        while not list(runs.glob("*/metrics.sqlite")):
            assert study.poll() is None
            time.sleep(0.05)
        study.send_signal(signal.SIGTERM)
        _, errors = study.communicate(timeout=HANGS_AFTER_SECONDS)
    finally:
        study.kill()
        study.wait()
    assert study.returncode == 143
    assert errors.splitlines()[-1] == (
        "frank: stopped; every run is saved, and the same command continues"
    )
    (begun,) = runs.iterdir()
    assert not is_done(begun)
    assert len(list_checkpoints(begun / "checkpoints")) == 1


ENDLESS = SHORT | {"total_env_steps": 10**9, "checkpoint_every_env_steps": 10**8}
ENDLESS |= {"evaluate_every_env_steps": 10**8}


@pytest.mark.parametrize(
    ("number", "idle"), some_of([(signal.SIGINT, 1), (signal.SIGTERM, 0)], [(signal.SIGINT, 1)])
)
def test_a_stop_reaches_busy_processes_and_idle_ones(tmp_path, number, idle):
    """The signal comes when the short runs are done, and their processes have nothing to do."""
    arms = (Arm("endless", ENDLESS), Arm("short", SHORT))
    study = Study(Experiment("", arms), ("CartPole-v1",), (0,), tmp_path)
    endless, short = study.jobs()
    done = []

    def stop(run):
        done.append(run)
        while not list(endless.run.glob("metrics.sqlite")):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    with pytest.raises(StoppedError, match="the same command continues") as raised:
        run_study(study, lambda: LocalEngine(1 + idle), stop) if idle else run_one(
            study, endless, number
        )
    assert raised.value.exit_status == 128 + number
    assert done == [short.run] * idle
    assert is_done(short.run) == bool(idle)
    assert not is_done(endless.run)
    assert len(list_checkpoints(endless.run / "checkpoints")) == 1
    assert multiprocessing.active_children() == []


def run_one(study, endless, number):
    """The study in one process, stopped by a thread once its run is under way."""

    def stop():
        while not list(endless.run.glob("metrics.sqlite")):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        run_study(study, lambda: LocalEngine(1), lambda run: None)
    finally:
        thread.join()


@pytest.mark.slow
def test_a_second_signal_ends_the_runs_at_once(tmp_path):
    arms = (Arm("endless", ENDLESS), Arm("short", SHORT))
    study = Study(Experiment("", arms), ("CartPole-v1",), (0,), tmp_path)

    def stop_twice(run):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedAtOnceError):
        run_study(study, lambda: LocalEngine(2), stop_twice)
    assert multiprocessing.active_children() == []
