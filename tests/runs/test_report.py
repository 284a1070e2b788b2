"""What a run's report says: one reader, for a job, a list of runs and the Hub."""

import dataclasses
import json

import pytest
from dashboard_runs import make_run, write_metrics

from frankrl.core.errors import DamagedError
from frankrl.hub.results import final_evaluation
from frankrl.jobs import EarlierRun, PruningRule, is_done, outcome_of
from frankrl.jobs.pruning import reason_to_stop
from frankrl.listing.run_status import status_of
from frankrl.runs.report import read_report

WHOLE = {
    "env_steps": 300,
    "seconds": 7.5,
    "stopped": False,
    "stop_reason": None,
    "solved": {"env_steps": 200, "seconds": 5.0},
    "evaluation": {"mean_return": 480.0, "interval_95": [470.0, 500.0]},
}


@pytest.fixture
def run(tmp_path):
    folder = make_run(tmp_path / "run")
    write_metrics(folder, training={"env_steps": [300]})
    return folder


def write(run, content):
    (run.path / "report.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )


def test_every_value_is_read(run):
    write(run, WHOLE)
    report = read_report(run.path)
    expected = (300, 7.5, False, None, 200, 5.0, 480.0, 15.0, WHOLE)
    assert dataclasses.astuple(report) == expected


@pytest.mark.parametrize("size", [5 << 20, 12 << 20])
def test_a_long_report_is_one_for_all_readers(run, size):
    write(run, WHOLE | {"environment_restarts": ["x" * size]})
    assert is_done(run.path)
    assert outcome_of(run.path).final_return == 480.0
    assert status_of(run.path).state == "finished"
    assert read_report(run.path) is not None


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "7", "[" * 100_000, "{}", '{"env_steps": "many"}'),
        *('{"env_steps": 1e999}', '{"env_steps": -1}', '{"env_steps": true}'),
        '{"env_steps": 1' + "0" * 30 + "}",
    ],
)
def test_what_is_no_report_is_none_for_all_readers(run, content):
    write(run, content)
    assert read_report(run.path) is None
    assert not is_done(run.path)
    assert outcome_of(run.path) is None
    assert status_of(run.path).state == "not started"
    assert final_evaluation(read_report(run.path), 300) is None


def test_entries_that_are_missing_or_odd_raise_nothing(run):
    odd = ("x", [], {}, 1e400, True, None)
    for name in set(WHOLE) - {"env_steps"}:
        for plain in (
            {key: value for key, value in WHOLE.items() if key != name},
            *(WHOLE | {name: value} for value in odd),
            *(WHOLE | {name: {"env_steps": v, "mean_return": v, "seconds": v}} for v in odd),
        ):
            write(run, plain)
            assert outcome_of(run.path) is None or outcome_of(run.path).env_steps == 300
            assert status_of(run.path).env_steps == 300
            final_evaluation(read_report(run.path), 300)


def test_a_run_that_was_stopped_is_over_only_by_a_reason_of_its_own(run):
    write(run, WHOLE | {"stopped": True})
    assert not is_done(run.path)
    write(run, WHOLE | {"stopped": True, "stop_reason": "pruned by median"})
    assert outcome_of(run.path).stop_reason == "pruned by median"


def test_a_run_that_its_sweep_has_ended_is_pruned_and_others_are_stopped(run):
    worse = (EarlierRun("complete", (9.0, 9.0, 9.0)),) * 6
    reason = reason_to_stop(PruningRule("median", 6, 3, worse), [1.0])
    write(run, WHOLE | {"stopped": True, "stop_reason": reason})
    assert status_of(run.path).state == "pruned"
    for other in (None, "enough"):
        write(run, WHOLE | {"stopped": True, "stop_reason": other})
        assert status_of(run.path).state == "stopped"


def test_an_evaluation_that_is_no_number_is_damage(run):
    write(run, WHOLE)
    write_metrics(
        run,
        evaluations={"env_steps": [100], "purpose": ["progress"], "mean_return": [float("inf")]},
    )
    with pytest.raises(DamagedError, match=r"metrics\.sqlite is damaged"):
        outcome_of(run.path)
