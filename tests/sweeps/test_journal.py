"""Optuna's storage of a sweep, read by Optuna itself."""

import json

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from frankrl.jobs import Ended
from frankrl.sweeps.folder import SweepFolder
from frankrl.sweeps.journal import Journal
from sweeps.pretended import definition_of, drive, driver_of, finish

STATES = {"running": "RUNNING", "complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_in(folder):
    storage = JournalStorage(JournalFileBackend(str(folder.journal)))
    return optuna.load_study(study_name=None, storage=storage)


def check_same(study, trials):
    assert [found.number for found in study.trials] == list(trials)
    for found in study.trials:
        trial = trials[found.number]
        assert found.state.name == STATES[trial.state]
        assert found.value == trial.value
        assert found.params["learning_rate"] == trial.settings["learning_rate"]
        assert found.params["hidden_widths"] == json.dumps(trial.settings["hidden_widths"])
        assert found.user_attrs["values"] == list(trial.values)
        assert found.user_attrs["runs"] == list(trial.runs)
        assert found.user_attrs.get("reason") == trial.reason
        curves = [dict(curve) for curve in trial.intermediate]
        for env_steps, mean in found.intermediate_values.items():
            means = [curve[env_steps] for curve in curves if env_steps in curve]
            assert mean == pytest.approx(sum(means) / len(means))
        assert set(found.intermediate_values) == {step for curve in curves for step in curve}


def test_optuna_reads_the_trials_of_a_sweep_while_it_goes_on(tmp_path):
    folder = SweepFolder(tmp_path)
    definition = definition_of(pruner="median")
    driver = driver_of(tmp_path, definition, 12, on_change=lambda trial: journal.take(trial))
    journal = Journal(folder, definition, [])
    reader = study_in(folder)

    def fails(job):
        # At any moment a reader sees what the trials' files hold.
        check_same(reader, driver.trials)
        return "training diverged" if "0003" in job.run.name else ""

    drive(driver, fails=fails)
    journal.close()
    check_same(reader, driver.trials)
    states = {trial.state for trial in driver.trials.values()}
    assert states == {"complete", "pruned", "failed"}
    assert reader.best_trial.value == max(
        trial.value for trial in driver.trials.values() if trial.state == "complete"
    )
    assert reader.user_attrs["seeds"] == [100, 101]
    # Made anew from the trials, as at the beginning of the next command.
    again = Journal(folder, definition, driver.trials.values())
    again.close()
    check_same(study_in(folder), driver.trials)


def test_a_line_that_a_kill_has_cut_is_made_anew(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of()
    driver = driver_of(tmp_path, definition, 2)
    finish(driver.next_job())
    text = ""
    for _ in range(2):
        journal = Journal(folder, definition, driver.trials.values())
        journal.close()
        text = folder.journal.read_text()
        folder.journal.write_text(text[:-20])
    journal = Journal(folder, definition, driver.trials.values())
    check_same(study_in(folder), driver.trials)
    # Nothing holds it: Optuna's own lock would outlive the process.
    assert [path.name for path in tmp_path.glob("*.lock*")] == []
    journal.close()


def test_a_trial_that_was_running_is_the_same_trial_when_it_goes_on(tmp_path):
    folder, definition = SweepFolder(tmp_path), definition_of(lag=1)
    driver = driver_of(tmp_path, definition, 1, on_change=lambda trial: journal.take(trial))
    journal = Journal(folder, definition, [])
    job = driver.next_job()
    journal.close()
    journal = Journal(folder, definition, driver.trials.values())
    finish(job)
    driver.take(Ended(job, True))
    drive(driver)
    journal.close()
    check_same(study_in(folder), driver.trials)
    assert study_in(folder).trials[0].state.name == "COMPLETE"
