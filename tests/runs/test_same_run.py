"""Whether two descriptions are of the same run."""

from dataclasses import replace

import pytest

from frankrl import Settings
from frankrl.core.errors import FrankError
from frankrl.jobs import Job
from frankrl.runs import RunDescription, RunFolder
from frankrl.runs.same_run import unlike

ENV = "frankrl/CartPole-functional-v0"


def described(**changes):
    settings = Settings().with_changes(**changes).resolved()
    return RunDescription(ENV, "default", 3, settings, {}, {})


def test_auto_is_what_a_run_has_chosen_and_two_choices_differ():
    for chosen in ("device", "host"):
        assert unlike(described(), described(source=chosen)) == []
        assert unlike(described(source=chosen), described()) == []
    assert unlike(described(source="host"), described(source="device")) == [
        "its source is device (given host)"
    ]
    assert unlike(described(), described(source="device", gamma=0.5)) == [
        "its gamma is 0.5 (given 0.99)"
    ]


def test_the_run_that_a_job_has_begun_on_the_device_is_that_of_the_job(tmp_path):
    job = Job(ENV, "default", described().settings, 3, tmp_path / "run")
    folder = RunFolder.create(tmp_path / "run", described(source="device"))
    job.check_same(folder)
    with pytest.raises(FrankError, match="its seed is 3"):
        replace(job, seed=4).check_same(folder)
