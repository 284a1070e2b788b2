"""Jobs: one run each, as plain JSON, done by processes that may die."""

import dataclasses
import json
import multiprocessing
import os
import signal
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest

from frankrl.cli.main import main as frank
from frankrl.config import Settings
from frankrl.core.errors import FrankError, MachineError, SettingError
from frankrl.core.stopping import StoppedError
from frankrl.environments import WorkerDiedError
from frankrl.jobs import (
    Ended,
    Job,
    do_job,
    is_done,
    outcome_of,
    run_jobs,
    would_fail_again,
)
from frankrl.jobs.local import LocalEngine
from frankrl.jobs.printed import PrintEngine
from frankrl.runs import RunFolder, list_checkpoints, load_checkpoint
from frankrl.training.preparing import prepare
from frankrl.training.session import run_to_end

pytestmark = pytest.mark.slow

SHORT = Settings().with_changes(
    total_env_steps=400,
    learning_starts_env_steps=100,
    evaluate_every_env_steps=100,
    evaluation_episodes=2,
    final_evaluation_episodes=3,
    checkpoint_every_env_steps=100,
    worker_processes=0,
    device="cpu",
    hidden_widths=(8,),
)


def job_in(folder, seed=0, **changes):
    settings = SHORT.with_changes(**changes).resolved()
    return Job("CartPole-v1", "short", settings, seed, folder / f"s{seed}")


def weights_of(run):
    newest = list_checkpoints(run / "checkpoints")[-1]
    return load_checkpoint(newest, {"q_network": 1 << 20}).tensors["q_network"]


def rows_of(run):
    """All metrics but those that depend on the clock."""
    connection = sqlite3.connect(run / "metrics.sqlite")
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    tables = [name for name in names if name != "timing" and not name.startswith("sqlite_")]
    rows = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    connection.close()
    return rows


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    job = job_in(tmp_path_factory.mktemp("undisturbed"))
    assert do_job(job)
    return job.run


def same(run, other):
    ours, theirs = weights_of(run), weights_of(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
    return rows_of(run) == rows_of(other)


def test_a_job_is_the_same_after_a_journey_through_json(tmp_path):
    job = job_in(tmp_path, 3, env_kwargs={"render_mode": None}, learning_rate=0.1 + 0.2)
    assert Job.from_json(job.to_json()) == job
    assert "\n" not in job.to_json()
    assert isinstance(json.loads(job.to_json()), dict)


def test_an_object_of_python_cannot_be_a_job(tmp_path):
    job = dataclasses.replace(job_in(tmp_path), env_id="object:Mine")
    with pytest.raises(SettingError, match="give a module's attribute, module:Name"):
        job.to_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed must be"),
        ({"seed": None}, "seed must be"),
        ({"run": "relative"}, "run must be an absolute path, got 'relative'"),
        ({"env_id": 5}, "env_id must be text, got 5"),
        ({"settings": []}, "it must be an object that has settings"),
        ({"settings": {"learning": {"gama": 1}}}, "did you mean 'gamma'"),
    ],
)
def test_what_is_no_job_is_refused(tmp_path, capsys, change, words):
    file = tmp_path / "job.json"
    file.write_text(json.dumps(json.loads(job_in(tmp_path).to_json()) | change))
    assert frank(["job", str(file)]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert f"{file} is no job" in printed
    assert printed.count("\n") == 1


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path, capsys):
    (tmp_path / "job.json").write_text("{")
    assert frank(["job", str(tmp_path / "job.json")]) == 2
    assert "it is not JSON" in capsys.readouterr().err
    assert frank(["job", str(tmp_path / "none.json")]) == 2
    assert frank(["job"]) == 2
    assert "name the file of a job" in capsys.readouterr().err


def test_a_job_of_somebody_else_imports_nothing(tmp_path, monkeypatch, capsys):
    canary = tmp_path / "touched"
    (tmp_path / "sly.py").write_text(f"open({str(canary)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    job = dataclasses.replace(job_in(tmp_path), env_id="sly:Env-v0")
    file = tmp_path / "job.json"
    file.write_text(json.dumps(json.loads(job.to_json()) | {"mark": "0" * 64}))
    assert frank(["job", str(file)]) == 2
    assert "was not written by your own Frank and names 'sly'" in capsys.readouterr().err
    assert not canary.exists()
    # With this user's own mark the module is imported; that it holds no environment is another
    # matter.
    file.write_text(job.to_json())
    assert frank(["job", str(file)]) == 2
    assert canary.exists()


def test_a_job_does_its_run_once_and_continues_what_was_stopped(tmp_path, undisturbed):
    job = job_in(tmp_path)
    training = prepare(job.env_id, job.preset, job.settings, job.seed, job.run)
    run_to_end(training, lambda event: None, lambda: training.ticks >= 150)
    assert not is_done(job.run)
    assert outcome_of(job.run) is None
    assert do_job(job)
    assert same(job.run, undisturbed)
    before = (job.run / "report.json").stat().st_mtime_ns
    assert do_job(job)
    assert (job.run / "report.json").stat().st_mtime_ns == before


def test_a_job_whose_run_decides_where_it_steps_is_continued_and_done_once(tmp_path):
    settings = SHORT.resolved()
    job = Job("frankrl/NineSquares-functional-v0", "mine", settings, 0, tmp_path / "run")
    assert job.settings.environment.source == "auto"
    training = prepare(job.env_id, job.preset, job.settings, job.seed, job.run)
    run_to_end(training, lambda event: None, lambda: training.ticks >= 150)
    assert RunFolder.open(job.run).description.settings.environment.source == "device"
    assert not is_done(job.run)
    assert do_job(job)
    assert do_job(job)
    host = dataclasses.replace(job, settings=settings.with_changes(source="host"))
    with pytest.raises(FrankError, match=r"its source is device \(given host\)"):
        do_job(host)


def test_a_job_that_is_stopped_is_not_done(tmp_path):
    job = job_in(tmp_path)
    assert not do_job(job, lambda: True)
    assert not is_done(job.run)


def test_the_folder_of_another_run_is_refused(tmp_path):
    job = job_in(tmp_path)
    assert not do_job(job, lambda: True)
    training = prepare(job.env_id, job.preset, job.settings, job.seed, job.run, overwrite=True)
    run_to_end(training, lambda event: None, lambda: training.ticks >= 100)
    other = dataclasses.replace(job_in(tmp_path, gamma=0.5), run=job.run)
    with pytest.raises(FrankError, match=r"holds another run: .*its gamma is 0.99 \(given 0.5\)"):
        do_job(other)


def test_a_run_without_a_checkpoint_is_replaced_only_by_itself(tmp_path):
    job = job_in(tmp_path)
    prepare("CartPole-v1", "mine", job.settings, 77, job.run).close()
    with pytest.raises(FrankError, match=r"its seed is 77 \(given 0\)"):
        do_job(job)
    assert RunFolder.open(job.run).description.seed == 77


def test_what_lies_in_the_machine_is_no_fault_of_a_job():
    assert would_fail_again(SettingError("no such value"))
    assert not would_fail_again(MachineError("the disk is full"))
    assert not would_fail_again(WorkerDiedError("its process has died"))


def test_a_full_disk_lies_in_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(MachineError, match="are free in"):
        do_job(job_in(tmp_path))


def test_an_outcome_has_what_the_report_and_the_metrics_say(undisturbed):
    report = json.loads((undisturbed / "report.json").read_text())
    outcome = outcome_of(undisturbed)
    assert outcome.final_return == report["evaluation"]["mean_return"]
    assert [steps for steps, _ in outcome.evaluations] == [100, 200, 300, 400]
    assert outcome.env_steps == 400
    assert (outcome.solved_env_steps, outcome.stop_reason) == (None, None)


def everything(engine, jobs):
    left, ended = list(jobs), []
    run_jobs(engine, lambda: left.pop(0) if left else None, ended.append)
    return ended


def test_printed_commands_do_the_jobs(tmp_path, undisturbed, capsys):
    lines = []
    job = job_in(tmp_path / "a folder")
    (ended,) = everything(PrintEngine(tmp_path / "jobs", lines.append), [job])
    assert not ended.is_done
    (line,) = lines
    command, name, file = line.partition(" job ")
    assert (command, name) == ("frank", " job ")
    assert frank(["job", file.strip("'")]) == 0
    assert f"done: {job.run}" in capsys.readouterr().err
    assert same(job.run, undisturbed)


def dies_once(job, stop_requested):
    if not list_checkpoints(job.run / "checkpoints"):

        def dies():
            if list_checkpoints(job.run / "checkpoints"):
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        return do_job(job, dies)
    return do_job(job, stop_requested)


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_the_run_goes_on(tmp_path, undisturbed):
    (ended,) = everything(LocalEngine(1, dies_once), [job_in(tmp_path)])
    assert ended.is_done
    assert same(ended.job.run, undisturbed)
    assert RunFolder.open(ended.job.run).description.seed == 0
    assert multiprocessing.active_children() == []


def is_stopped_once(job, stop_requested):
    flag = job.run.with_suffix(".stopped")
    if flag.exists():
        return not stop_requested()
    flag.touch()
    os.kill(os.getpid(), signal.SIGTERM)
    return not stop_requested()


@pytest.mark.slow
def test_a_process_that_others_stop_is_replaced_and_the_run_goes_on(tmp_path):
    (ended,) = everything(LocalEngine(1, is_stopped_once), [job_in(tmp_path)])
    assert ended.is_done
    assert multiprocessing.active_children() == []


def goes_wrong(job, stop_requested):
    match job.seed:
        case 0:
            return True
        case 1:
            raise FrankError("this is not allowed")
        case 2:
            raise ZeroDivisionError("a bug")
        case _:
            os._exit(3)


def test_a_mistake_of_a_job_is_told_and_the_others_go_on(tmp_path):
    first, second = everything(LocalEngine(1, goes_wrong), [job_in(tmp_path, s) for s in (1, 0)])
    assert (first.is_done, first.error) == (False, "this is not allowed")
    assert (second.is_done, second.error) == (True, "")
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        (2, RuntimeError, "ZeroDivisionError: a bug"),
        pytest.param(
            3,
            FrankError,
            "has broken off 3 times without writing a checkpoint: its process has died",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_cannot_go_on_ends_everything(tmp_path, seed, error, words):
    with pytest.raises(error, match=words):
        everything(LocalEngine(2, goes_wrong), [job_in(tmp_path, seed), job_in(tmp_path, 0)])
    assert multiprocessing.active_children() == []


class OneByOne:
    """Does each job at once."""

    slots = 1

    def __init__(self):
        self._job = None

    def begin(self, job):
        self._job = job

    def ended(self, seconds):
        return [Ended(self._job, True)]

    def stop(self):
        pass

    def close(self):
        pass


def test_a_stop_takes_no_further_job_only_to_see_whether_there_is_one(tmp_path):
    taken = []

    def next_job():
        taken.append(job_in(tmp_path, len(taken)))
        return taken[-1]

    with pytest.raises(StoppedError):
        run_jobs(OneByOne(), next_job, lambda end: os.kill(os.getpid(), signal.SIGINT))
    assert len(taken) == 1
