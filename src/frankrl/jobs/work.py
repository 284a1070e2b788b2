"""How a job is done: its run is begun, or continued, and brought to its end."""

import contextlib
from collections.abc import Callable

from frankrl.core.errors import RunFolderError
from frankrl.jobs.job import Job
from frankrl.jobs.outcome import is_done
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.folder import permission_of
from frankrl.training.session import prepare, prepare_resume, run_to_end


def do_job(job: Job, stop_requested: Callable[[], bool] = lambda: False) -> bool:
    """Do a job, whose code may be imported; a run that was begun before goes on.

    Args:
        job: the job.
        stop_requested: called after every round; if true, the run is saved and ends.

    Returns:
        Whether the run is over; false if a stop was requested.

    Raises:
        FrankError: the run cannot be begun, or cannot go on.
    """
    if is_done_as(job):
        return True
    folder = None
    with contextlib.suppress(RunFolderError):
        folder = RunFolder.open(job.run, permission_of(job.env_id, False, job.settings.values()))
    if folder is not None and list_checkpoints(folder.checkpoints):
        job.check_same(folder)
        training = prepare_resume(folder, job.settings)
    else:
        training = prepare(
            job.env_id, job.preset, job.settings, job.seed, job.run, overwrite=folder is not None
        )
    result = run_to_end(training, lambda event: None, stop_requested)
    return not result.stopped


def is_done_as(job: Job) -> bool:
    """Whether the run of a job is over.

    Raises:
        FrankError: another run is in its folder.
    """
    done = is_done(job.run)
    if done:
        job.check_same(RunFolder.open(job.run))
    return done
