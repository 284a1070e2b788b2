"""A function of the events ends a run, or fails: what stands is saved, and nothing is lost."""

import json
import signal

import pytest
from robustness.runs import contents

import frankrl
from frankrl.runs import list_checkpoints
from frankrl.training import (
    Checkpointed,
    EnvironmentRestarted,
    Evaluated,
    Finished,
    Progress,
    Solved,
)

ENV = "failing_envs:Failing-v0"
SETTINGS = {
    "preset": "default",
    "seed": 7,
    "worker_processes": 0,
    "hidden_widths": (8,),
    "batch_size": 8,
    "num_envs": 3,
    "learning_starts_env_steps": 60,
    # All three fall on the same env step, and the first evaluation solves it.
    "log_every_env_steps": 60,
    "evaluate_every_env_steps": 60,
    "checkpoint_every_env_steps": 120,
    "evaluation_episodes": 2,
    "final_evaluation_episodes": 3,
    "keep_checkpoints": 9,
    "total_env_steps": 300,
    "restart_failed_envs": 50,
    "info_metrics": ("reward",),
    "env_kwargs": {"share": 0.1, "at": 3},
}


def energy(event):
    """An own metric that depends on the event alone."""
    return {f"of {type(event).__name__}": event.env_steps / 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The contents of a run that nothing has interrupted."""
    path, seen = tmp_path_factory.mktemp("whole") / "run", []
    result = frankrl.train(ENV, out=path, on_event=seen.append, metrics=energy, **SETTINGS)
    kinds = {type(event) for event in seen}
    assert kinds == {*(Progress, Evaluated, Solved, Checkpointed, EnvironmentRestarted, Finished)}
    assert (result.stopped, result.stop_reason) == (False, None)
    assert {e.purpose for e in seen if isinstance(e, Evaluated)} == {"progress", "solved"}
    return contents(path)


def is_progress(event):
    return isinstance(event, Progress) and event.env_steps >= 120


def is_first_progress(event):
    return isinstance(event, Progress)


def is_evaluation(event):
    return isinstance(event, Evaluated) and event.purpose == "progress"


def is_check(event):
    return isinstance(event, Evaluated) and event.purpose == "solved"


def is_solved(event):
    return isinstance(event, Solved)


def is_checkpoint(event):
    return isinstance(event, Checkpointed)


def is_restart(event):
    return isinstance(event, EnvironmentRestarted)


def is_end(event):
    return isinstance(event, Finished)


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "place", [is_evaluation, *map(slow, (is_first_progress, is_check, is_restart))]
)
def test_a_run_that_is_stopped_at_any_event_continues_to_the_same_bits(place, whole, tmp_path):
    def stop(event):
        return frankrl.Stop("enough\nis enough") if place(event) else None

    run = tmp_path / "run"
    result = frankrl.train(ENV, out=run, on_event=stop, metrics=energy, **SETTINGS)
    assert result.stopped
    assert result.env_steps < 300
    assert result.evaluation is None
    assert result.stop_reason == "enough\\nis enough"
    report = json.loads((run / "report.json").read_bytes())
    assert (report["stopped"], report["stop_reason"]) == (True, result.stop_reason)
    assert int(list_checkpoints(run / "checkpoints")[-1].name) == result.env_steps
    result = frankrl.resume(run, metrics=energy)
    assert (result.stopped, result.stop_reason) == (False, None)
    assert contents(run) == whole


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (is_progress, SystemExit(7)),
        (is_end, ZeroDivisionError("mine")),
        *(
            slow(place, ZeroDivisionError("mine"))
            for place in (is_check, is_restart, is_solved, is_checkpoint)
        ),
    ],
)
def test_a_function_that_fails_at_any_event_finds_its_run_saved(place, error, whole, tmp_path):
    def fail(event):
        if place(event):
            raise error

    run = tmp_path / "run"
    with pytest.raises(type(error)) as raised:
        frankrl.train(ENV, out=run, on_event=fail, metrics=energy, **SETTINGS)
    assert raised.value is error
    frankrl.resume(run, metrics=energy)
    assert contents(run) == whole


def test_a_stop_at_the_end_of_a_run_has_come_too_late(tmp_path):
    def stop(event):
        return frankrl.Stop("late") if isinstance(event, Finished) else None

    result = frankrl.train(ENV, out=tmp_path / "run", on_event=stop, **SETTINGS)
    assert (result.stopped, result.stop_reason) == (False, None)
    assert result.evaluation is not None


def test_a_signal_is_still_raised_as_an_interruption(tmp_path):
    def interrupt(event):
        if isinstance(event, Progress):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="the run is saved"):
        frankrl.train(ENV, out=tmp_path / "run", on_event=interrupt, **SETTINGS)
    report = json.loads((tmp_path / "run" / "report.json").read_bytes())
    assert (report["stopped"], report["stop_reason"]) == (True, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "returned 3"),
        ({"a": "much"}, "for 'a' it returned 'much'"),
        ({"a": float("nan")}, "for 'a' it returned nan"),
        ({1: 2.0}, "for 1 it returned 2.0"),
        ({"is_success": 1.0}, r"other names than .* info .*\(is_success, .*\), got 'is_success'"),
    ],
)
def test_an_own_metric_that_is_no_number_is_refused_by_name(given, words, tmp_path):
    with pytest.raises(frankrl.FrankError, match=f"metrics must return .*{words}"):
        frankrl.train(ENV, out=tmp_path / "run", metrics=lambda event: given, **SETTINGS)
    assert list_checkpoints(tmp_path / "run" / "checkpoints")


def test_metrics_that_are_no_function_are_refused(tmp_path):
    with pytest.raises(frankrl.FrankError, match="metrics must be a function of one event"):
        frankrl.train(ENV, out=tmp_path / "run", metrics={"a": 1}, **SETTINGS)
