"""How a job is done: its run is begun, or continued, and brought to its end."""

import contextlib
from collections.abc import Callable

from frankrl.core.errors import RunFolderError
from frankrl.jobs.job import Job
from frankrl.jobs.outcome import evaluations_of, is_done
from frankrl.jobs.pruning import PruningRule, reason_to_stop
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.folder import permission_of
from frankrl.training import Evaluated, Event, Stop, Trainer
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
    pruner = _Pruner(job.pruning, training)
    # A run that was killed between this decision and its report comes to it again.
    stop = pruner.decision()
    result = run_to_end(training, pruner.take, stop_requested, stop=stop)
    return not result.stopped or result.stop_reason is not None


class _Pruner:
    """Ends a run whose evaluations are worse than a rule allows."""

    def __init__(self, rule: PruningRule | None, training: Trainer) -> None:
        self._rule = rule
        # By env step, because a run that continues may play its newest evaluation again.
        self._evaluations = dict(evaluations_of(training.folder.path)) if rule else {}

    def decision(self) -> Stop | None:
        """Whether the run should end now."""
        if self._rule is None:
            return None
        reason = reason_to_stop(self._rule, list(self._evaluations.values()))
        return None if reason is None else Stop(reason)

    def take(self, event: Event) -> Stop | None:
        """Take an event of the training; whether the run should end after it."""
        if self._rule is None or not isinstance(event, Evaluated) or event.purpose != "progress":
            return None
        self._evaluations[event.env_steps] = event.evaluation.mean_return
        return self.decision()


def is_done_as(job: Job) -> bool:
    """Whether the run of a job is over.

    Raises:
        FrankError: another run is in its folder.
    """
    done = is_done(job.run)
    if done:
        job.check_same(RunFolder.open(job.run))
    return done
