"""When a run that is worse than others ends: decisions of Optuna's pruners from plain data."""

import dataclasses
import json
import random

import numpy as np
import optuna
import pytest
from jobs.test_jobs import job_in, same

from frankrl.core.errors import SettingError
from frankrl.jobs import EarlierRun, Job, PruningRule, do_job, is_done, outcome_of, work
from frankrl.jobs.pruning import MAX_EARLIER_EVALUATIONS, reason_to_stop
from frankrl.runs import list_checkpoints

EVALUATIONS = 9


def curves(count, seed=0):
    draw = random.Random(seed)
    levels = [draw.uniform(0, 100) for _ in range(count)]
    return [[level * i / 9 + draw.gauss(0, 3) for i in range(1, 10)] for level in levels]


def test_the_median_rule_stops_below_the_median_of_whole_runs():
    runs = curves(30)
    earlier = [EarlierRun("complete", tuple(run)) for run in runs[:12]]
    # Their evaluations do not count, because they were stopped.
    earlier += [EarlierRun("pruned", tuple(run[:3])) for run in runs[12:15]]
    earlier += [EarlierRun("failed", ())]
    rule = PruningRule("median", 20, EVALUATIONS, tuple(earlier))
    decisions = []
    for run in runs[15:]:
        for count in range(1, EVALUATIONS + 1):
            # Optuna compares the best evaluation so far.
            worse = max(run[:count]) < np.median([other[count - 1] for other in runs[:12]])
            reason = reason_to_stop(rule, run[:count])
            assert (reason is not None) == (worse and count < EVALUATIONS)
            decisions.append(reason)
    assert 20 < sum(reason is not None for reason in decisions) < len(decisions) - 20
    assert "pruned by median at evaluation" in next(filter(None, decisions))


def test_the_median_rule_needs_five_whole_runs():
    earlier = tuple(EarlierRun("complete", tuple(run)) for run in curves(4))
    assert reason_to_stop(PruningRule("median", 4, EVALUATIONS, earlier), [-1e9]) is None


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_hyperband_rule_decides_as_a_study_of_optuna_does():
    study = optuna.create_study(
        study_name="frank",
        direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.HyperbandPruner(1, EVALUATIONS, 3),
    )
    earlier = []
    for number, run in enumerate(curves(40, seed=3)):
        trial, told = study.ask(), []
        for step, mean in enumerate(run, 1):
            told.append(mean)
            trial.report(mean, step)
            stops = trial.should_prune() and step < EVALUATIONS
            rule = PruningRule("hyperband", number, EVALUATIONS, tuple(earlier))
            assert (reason_to_stop(rule, told) is not None) == stops, (number, step)
            if stops:
                break
        earlier.append(EarlierRun("pruned" if stops else "complete", tuple(told)))
        if stops:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, told[-1])
    states = [run.state for run in earlier]
    assert states.count("pruned") > 10
    assert states.count("complete") > 5


def test_a_rule_is_the_same_after_a_journey_through_json(tmp_path):
    earlier = (EarlierRun("complete", (1.5, 0.1 + 0.2)), EarlierRun("failed", ()))
    job = dataclasses.replace(job_in(tmp_path), pruning=PruningRule("median", 3, 4, earlier))
    assert Job.from_json(job.to_json()) == job


def test_the_largest_rule_that_a_sweep_makes_fits_into_a_job_file(tmp_path):
    longest = -1.2345678901234567e-300
    earlier = (EarlierRun("complete", (longest,) * 50),) * 10_000
    assert sum(len(run.mean_returns) for run in earlier) == MAX_EARLIER_EVALUATIONS
    rule = PruningRule("hyperband", 10_000, 50, earlier)
    file = tmp_path / "job.json"
    file.write_text(dataclasses.replace(job_in(tmp_path), pruning=rule).to_json())
    assert Job.open(file).pruning == rule


@pytest.mark.parametrize(
    "plain",
    [
        7,
        ["median", 3, 4],
        ["best", 3, 4, []],
        ["median", 0, 4, [["complete", [1.0]]]],
        ["median", 3, 0, []],
        ["median", 10**9, 4, []],
        ["median", 3, 4, [["done", [1.0]]]],
        ["median", 3, 4, [["complete", ["x"]]]],
        ["median", 3, 4, [["complete", [float("inf")]]]],
        ["median", "x", 4, []],
    ],
)
def test_what_is_no_rule_is_refused(tmp_path, plain):
    text = json.dumps(json.loads(job_in(tmp_path).to_json()) | {"pruning": plain})
    with pytest.raises(SettingError, match="pruning must be a rule"):
        Job.from_json(text)


GOOD_RUNS = tuple(EarlierRun("complete", (0.0, 1e3, 1e3, 1e3)) for _ in range(5))


def pruned_job(folder):
    """A job that its rule ends at its second evaluation, at env step 200."""
    return dataclasses.replace(job_in(folder), pruning=PruningRule("median", 5, 4, GOOD_RUNS))


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    job = pruned_job(tmp_path_factory.mktemp("pruned"))
    assert do_job(job)
    return job


def test_a_run_that_is_worse_ends_and_is_done(pruned):
    outcome = outcome_of(pruned.run)
    assert outcome is not None
    assert outcome.stop_reason is not None
    assert outcome.stop_reason.startswith("pruned by median at evaluation 2 of 4: mean return")
    assert [step for step, _ in outcome.evaluations] == [100, 200]
    assert (outcome.env_steps, outcome.final_return) == (200, None)
    assert is_done(pruned.run)
    assert do_job(pruned)


def test_a_run_that_was_killed_after_its_decision_comes_to_it_again(tmp_path, pruned, monkeypatch):
    job = pruned_job(tmp_path)
    real = work.run_to_end

    def killed_before_the_report(training, on_event, stop_requested, *, stop):
        with monkeypatch.context() as patch:
            patch.setattr(type(training.folder), "write_report", _die)
            return real(training, on_event, stop_requested, stop=stop)

    monkeypatch.setattr(work, "run_to_end", killed_before_the_report)
    with pytest.raises(_Killed):
        do_job(job)
    assert not is_done(job.run)
    assert [path.name[-3:] for path in list_checkpoints(job.run / "checkpoints")] == ["100", "200"]
    monkeypatch.setattr(work, "run_to_end", real)
    assert do_job(job)
    assert same(job.run, pruned.run)
    assert outcome_of(job.run)._replace(seconds=0) == outcome_of(pruned.run)._replace(seconds=0)


class _Killed(BaseException):
    pass


def _die(*_):
    raise _Killed
