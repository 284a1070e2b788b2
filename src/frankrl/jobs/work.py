"""How a job is done: its run is begun, or continued, and brought to its end."""

import contextlib
import os
from collections.abc import Callable

from frankrl.core.errors import RunFolderError
from frankrl.jobs.job import Job
from frankrl.jobs.outcome import Outcome, evaluations_of, is_done, outcome_of
from frankrl.jobs.pruning import PruningRule, reason_to_stop
from frankrl.runs import RunFolder, list_checkpoints
from frankrl.runs.permission import permission_of
from frankrl.training import Evaluated, Event, Stop, Trainer
from frankrl.training.players import one_of_several
from frankrl.training.preparing import prepare, prepare_resume
from frankrl.training.published import LEASE_SECONDS, publish_or_take_over
from frankrl.training.session import run_to_end


@one_of_several()
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
    if folder is not None:
        job.check_same(folder)
    if folder is not None and list_checkpoints(folder.checkpoints):
        training = prepare_resume(folder, job.settings)
    else:
        training = prepare(
            job.env_id, job.preset, job.settings, job.seed, job.run, overwrite=folder is not None
        )
    pruner = _Pruner(job.pruning)
    result = run_to_end(training, pruner.take, stop_requested, stop=pruner.begin(training))
    return not result.stopped or result.stop_reason is not None


@one_of_several()
def publish_job(
    job: Job,
    address: str | os.PathLike[str],
    stop_requested: Callable[[], bool] = lambda: False,
    *,
    say: Callable[[str], None] = lambda text: None,
    lease_seconds: float = LEASE_SECONDS,
) -> bool:
    """Do a job on this machine's own disk, and publish its run, which any machine can continue.

    The job's own run folder is not touched: `frankrl.fetch` makes it when the run is over.

    Args:
        job: the job, whose code may be imported.
        address: shared storage of the run, as for `publish_or_take_over`.
        stop_requested: called after every round; if true, the run is published and ends.
        say: called with what a person should know.
        lease_seconds: how long the lease holds without being renewed. [s]

    Returns:
        Whether the run is over.

    Raises:
        SupersededError: another process has taken the run over meanwhile.
        FrankError: the run cannot be begun, or cannot go on.
    """
    pruner = _Pruner(job.pruning)
    result = publish_or_take_over(
        job.env_id,
        job.preset,
        job.settings,
        job.seed,
        address,
        lease_seconds=lease_seconds,
        stop_requested=stop_requested,
        on_event=pruner.take,
        on_begin=pruner.begin,
        say=say,
    )
    return result is not None and (not result.stopped or result.stop_reason is not None)


class _Pruner:
    """Ends a run whose evaluations are worse than a rule allows."""

    def __init__(self, rule: PruningRule | None) -> None:
        self._rule = rule
        self._evaluations: dict[int, float] = {}
        """By env step, because a run that continues may play its newest evaluation again."""

    def begin(self, training: Trainer) -> Stop | None:
        """Whether the run should end before its next round.

        A run that was killed between this decision and its report comes to it again.
        """
        if self._rule is None:
            return None
        self._evaluations = dict(evaluations_of(training.folder.path))
        return self._decision(self._rule)

    def _decision(self, rule: PruningRule) -> Stop | None:
        reason = reason_to_stop(rule, list(self._evaluations.values()))
        return None if reason is None else Stop(reason)

    def take(self, event: Event) -> Stop | None:
        """Take an event of the training; whether the run should end after it."""
        if self._rule is None or not isinstance(event, Evaluated) or event.purpose != "progress":
            return None
        self._evaluations[event.env_steps] = event.evaluation.mean_return
        return self._decision(self._rule)


def is_done_as(job: Job) -> bool:
    """Whether the run of a job is over, and not at the end of a smaller budget.

    Raises:
        FrankError: another run is in its folder.
    """
    if not is_done(job.run):
        return False
    job.check_same(RunFolder.open(job.run))
    return is_done(job.run, job.settings)


def outcome_as(job: Job) -> Outcome | None:
    """What the run of a job has given; None if it is not over.

    Raises:
        FrankError: another run is in its folder, or it cannot be read.
    """
    return outcome_of(job.run) if is_done_as(job) else None
