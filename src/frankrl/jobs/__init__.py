"""Jobs: many runs, done by local processes, by a cluster, or by commands that are printed."""

from frankrl.jobs.answer import Answer
from frankrl.jobs.deaths import Deaths
from frankrl.jobs.driving import Driver, driven
from frankrl.jobs.engine import Ended, Engine, run_jobs, would_fail_again
from frankrl.jobs.job import Job
from frankrl.jobs.missing import do_missing
from frankrl.jobs.outcome import Outcome, is_done, outcome_of
from frankrl.jobs.pruning import EarlierRun, PruningRule
from frankrl.jobs.work import do_job, is_done_as, outcome_as, publish_job

__all__ = [
    "Answer",
    "Deaths",
    "Driver",
    "EarlierRun",
    "Ended",
    "Engine",
    "Job",
    "Outcome",
    "PruningRule",
    "do_job",
    "do_missing",
    "driven",
    "is_done",
    "is_done_as",
    "outcome_as",
    "outcome_of",
    "publish_job",
    "run_jobs",
    "would_fail_again",
]
