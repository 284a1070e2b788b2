"""The order of a sweep's work: nothing depends on who ends first, nor on who is killed when."""

import json
import math
import random

import pytest
from dashboard_runs import make_run
from long_forms import some_of
from robustness import sweep_steps
from robustness.outcome import assert_all_held

from frankrl.core.errors import FrankError
from frankrl.jobs import Ended
from frankrl.sweeps.driver import SweepDriver
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.results import best_of
from frankrl.sweeps.sampling import drawn
from frankrl.sweeps.space import space_of
from frankrl.sweeps.trial import read_trials
from sweeps.pretended import SPACE, curve_of, definition_of, drive, driver_of, finish

KINDS = {
    "tpe": {},
    "racing": sweep_steps.RACING,
    "median": {"pruner": "median"},
    "hyperband": {"pruner": "hyperband", "sampler": "random"},
}
TRIALS = sweep_steps.TRIALS


def swept(path, kind, *, draw=None, slots=3, lag=3):
    driver = driver_of(path, definition_of(lag=lag, **KINDS[kind]), TRIALS)
    drive(driver, draw=draw, slots=slots)
    return driver.trials


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return {kind: swept(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.mark.parametrize("kind", some_of(KINDS, ["racing", "hyperband"]))
def test_the_order_in_which_runs_end_changes_nothing(tmp_path, undisturbed, kind):
    for seed, slots in ((1, 3), (2, 1)):
        path = tmp_path / f"{seed}"
        found = swept(path, kind, draw=random.Random(seed), slots=slots)
        assert found == undisturbed[kind]
        assert read_trials(path / "trials") == found


@pytest.mark.parametrize("kind", KINDS)
def test_pruners_end_some_trials_and_leave_the_best_one(undisturbed, kind):
    trials = undisturbed[kind].values()
    states = [trial.state for trial in trials]
    assert set(states) == ({"complete"} if kind == "tpe" else {"complete", "pruned"})
    objective = definition_of().objective
    best = best_of(trials, objective)
    assert best is not None
    # By the formula itself: no other trial would have had a better end.
    level = {t.number: _level(t.settings) for t in trials}
    if kind in ("tpe", "racing", "median"):
        assert level[best.number] == pytest.approx(max(level.values()), abs=1e-9)


def _level(settings):
    rate = math.log10(settings["learning_rate"])
    return 100 - 40 * abs(rate + 2.7) + 5 * len(settings["hidden_widths"])


def test_a_sweep_that_is_killed_at_any_step_ends_as_one_that_is_not(tmp_path):
    assert_all_held(sweep_steps.study(tmp_path, every=41), at_least=3)


def test_a_sweep_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path, undisturbed):
    draw, kills = random.Random(5), 0
    while True:
        left = draw.randrange(1, 12)

        def step():
            nonlocal left
            left -= 1
            if left < 0:
                raise sweep_steps.Killed

        driver = driver_of(tmp_path, definition_of(**KINDS["median"]), TRIALS)
        try:
            drive(driver, draw=draw, step=step)
        except sweep_steps.Killed:
            kills += 1
            continue
        break
    assert kills > 3
    assert driver.trials == undisturbed["median"]


def test_a_trial_follows_from_the_results_up_to_its_number_minus_the_lag(undisturbed):
    trials = undisturbed["tpe"]
    for number, trial in trials.items():
        earlier = [trials[n] for n in range(number - 3 + 1)]
        expected = drawn("tpe", SPACE, "maximize", 100, number, earlier)
        assert trial.settings == {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in expected.items()
        }


def test_as_many_trials_as_the_lag_are_under_way_at_once(tmp_path):
    for lag in (1, 4):
        driver = driver_of(tmp_path / f"{lag}", definition_of(lag=lag), 9)
        assert drive(driver, slots=8) == lag


def test_a_run_that_fails_ends_its_trial_alone(tmp_path):
    def fails(job):
        return "training diverged" if "0002" in job.run.name and job.seed == 101 else ""

    driver = driver_of(tmp_path, definition_of(), 6)
    drive(driver, fails=fails)
    states = [trial.state for trial in driver.trials.values()]
    assert states == ["complete"] * 2 + ["failed"] + ["complete"] * 3
    failed = driver.trials[2]
    assert (failed.value, failed.reason) == (None, "training diverged")
    assert len(failed.values) == 1


def test_what_fails_by_the_machine_ends_the_sweep_and_the_trial_goes_on(tmp_path):
    driver = driver_of(tmp_path, definition_of(), 3)
    job = driver.next_job()
    with pytest.raises(FrankError, match="no space is left"):
        driver.take(Ended(job, False, "no space is left on the disk"))
    assert read_trials(tmp_path / "trials")[0].state == "running"


def test_settings_that_contradict_each_other_fail_their_trial_and_begin_no_run(tmp_path):
    space = space_of(
        {"munchausen": {"choices": [True, False]}, "double": {"choices": [True, False]}}
    )
    definition = definition_of(sampler="grid", space=space)
    driver = driver_of(tmp_path, definition, 4)
    drive(driver)
    assert [trial.state for trial in driver.trials.values()] == ["failed"] + ["complete"] * 3
    assert driver.trials[0].runs == ()
    assert "munchausen takes a mean over all next actions" in driver.trials[0].reason


def test_more_trials_go_on_from_those_that_are_there(tmp_path, undisturbed):
    definition = definition_of(**KINDS["tpe"])
    first = driver_of(tmp_path, definition, 5)
    drive(first)
    more = driver_of(tmp_path, definition, TRIALS)
    drive(more)
    assert more.trials == undisturbed["tpe"]


def test_the_value_of_a_trial_is_the_mean_over_its_seeds(tmp_path):
    driver = driver_of(tmp_path, definition_of(seeds=(7, 8, 9)), 1)
    ends = []
    while (job := driver.next_job()) is not None:
        assert driver.next_job() is None
        ends.append(curve_of(job)[-1][1])
        finish(job)
        driver.take(Ended(job, True))
    trial = driver.trials[0]
    assert trial.values == tuple(ends)
    assert trial.value == pytest.approx(sum(ends) / 3, rel=1e-12)
    assert trial.runs == ("runs/0000-s7", "runs/0000-s8", "runs/0000-s9")


def test_a_run_that_was_stopped_or_printed_is_not_given_again(tmp_path):
    driver = driver_of(tmp_path, definition_of(lag=2), 6)
    jobs = [driver.next_job(), driver.next_job()]
    assert driver.next_job() is None
    for job in jobs:
        driver.take(Ended(job, False))
    assert driver.next_job() is None
    for job in jobs:
        finish(job)
    again = driver_of(tmp_path, definition_of(lag=2), 6)
    assert [again.next_job().run.name, again.next_job().run.name] == ["0000-s101", "0001-s101"]


def test_the_run_of_another_job_is_no_result(tmp_path):
    driver = SweepDriver(SweepFolder(tmp_path), definition_of(), 1)
    driver._folder.trials.mkdir()
    job = driver.next_job()
    assert job is not None
    run = make_run(job.run, seed=3)
    report = {"env_steps": 9, "seconds": 1.0, "stopped": False, "evaluation": {"mean_return": 9}}
    run.write_report(report)
    again = SweepDriver(SweepFolder(tmp_path), definition_of(), 1)
    with pytest.raises(FrankError, match=r"holds another run: its seed is 3 \(given 100\)"):
        again.next_job()
    assert not again.trials[0].is_over


def test_the_reason_of_a_failed_trial_is_the_same_wherever_the_sweep_lies(tmp_path):
    reasons = set()
    for name in ("a", "b"):
        driver = driver_of(tmp_path / name, definition_of(), 1)
        job = driver.next_job()
        error = f"it has diverged: frank train --resume {job.run}"
        driver.take(Ended(job, False, error, fails_again=True))
        reasons.add(driver.trials[0].reason)
    assert reasons == {"it has diverged: frank train --resume runs/0000-s100"}


def test_a_run_whose_value_is_no_number_fails_its_trial(tmp_path):
    driver = driver_of(tmp_path, definition_of(objective="seconds_to_solved"), 1)
    job = driver.next_job()
    finish(job)
    path = job.run / "outcome.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": math.inf}))
    driver.take(Ended(job, True))
    assert driver.next_job() is None
    assert (driver.trials[0].state, driver.trials[0].value) == ("failed", None)
