"""The one loop over jobs that are known from the beginning: those that are missing are done."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from frankrl.core.errors import FrankError
from frankrl.jobs.driving import driven
from frankrl.jobs.engine import Ended, Engine
from frankrl.jobs.job import Job
from frankrl.jobs.work import is_done_as


def do_missing(
    jobs: Sequence[Job],
    folder: Path,
    engine: Callable[[], Engine],
    on_done: Callable[[Job], None],
) -> bool:
    """Do every job that is not done yet; stopped runs are continued.

    Args:
        jobs: the jobs.
        folder: the folder of their runs, which this process drives meanwhile.
        engine: makes what does them; called if there is something to do.
        on_done: called for each job that is done, including those that were done earlier.

    Returns:
        Whether every run is over; not if the engine only prints commands.

    Raises:
        RunFolderError: another process drives the folder.
        StoppedError: a stop was requested; everything done so far is saved.
        FrankError: a run cannot be begun, or cannot go on.
    """
    waiting = _not_done(jobs, on_done)
    if not waiting:
        return True
    doing = engine()
    with contextlib.ExitStack() as stack:
        try:
            driver = stack.enter_context(driven(folder))
        except BaseException:
            doing.close()
            raise
        # Another process may have done some of them until now.
        waiting = _not_done(waiting, on_done)
        left = len(waiting)

        def ended(end: Ended) -> None:
            nonlocal left
            if end.error:
                raise FrankError(end.error)
            if end.is_done:
                left -= 1
                on_done(end.job)

        driver.run(doing, lambda: waiting.pop(0) if waiting else None, ended)
    return not left


def _not_done(jobs: Sequence[Job], on_done: Callable[[Job], None]) -> list[Job]:
    """Those of some jobs that are not done; `on_done` takes the others."""
    missing = []
    for job in jobs:
        if is_done_as(job):
            on_done(job)
        else:
            missing.append(job)
    return missing
