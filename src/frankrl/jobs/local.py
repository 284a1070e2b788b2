"""Jobs in processes of this machine."""

from frankrl.jobs.deaths import Deaths
from frankrl.jobs.engine import Ended
from frankrl.jobs.job import Job
from frankrl.jobs.run_process import ProcessDiedError, RunProcess, Work
from frankrl.jobs.work import do_job
from frankrl.runs import list_checkpoints
from frankrl.runs.layout import CHECKPOINTS


class LocalEngine:
    """Does jobs in processes of their own, which are kept for the next jobs."""

    def __init__(self, processes: int, work: Work = do_job) -> None:
        """Starts a process when a job begins.

        Args:
            processes: number of jobs at once.
            work: does a job; a function of a module.
        """
        self.slots = processes
        self._work = work
        self._processes: list[RunProcess] = []
        self._deaths = Deaths()

    def begin(self, job: Job) -> None:
        """Give a job to an idle process, or to a new one."""
        idle = next((process for process in self._processes if process.job is None), None)
        if idle is None:
            idle = RunProcess(self._work)
            self._processes.append(idle)
        idle.begin(job)

    def ended(self, seconds: float) -> list[Ended]:
        """The jobs that have ended. One whose process died, or was stopped by others, begins again.

        Raises:
            FrankError: a process has died several times with no progress.
            RuntimeError: a job has failed by a fault of the program.
        """
        found = []
        for process in RunProcess.answered(self._processes, seconds):
            job = process.job
            assert job is not None
            try:
                end = process.finish()
            except ProcessDiedError:
                end = None
            if end is not None and (end.is_done or end.error):
                found.append(end)
                continue
            self._bury(process, job)
            self.begin(job)
        return found

    def _bury(self, process: RunProcess, job: Job) -> None:
        """Count the death of a process.

        Raises:
            FrankError: the job's process dies again and again.
        """
        self._processes.remove(process)
        process.kill()
        process.join()
        there = list_checkpoints(job.run / CHECKPOINTS)
        newest = there[-1].name if there else ""
        why = "its process has died, perhaps for lack of memory (lower --processes)"
        self._deaths.count(job.run, newest, why)

    def stop(self) -> None:
        """Ask every process to save its run and end."""
        for process in self._processes:
            process.stop()

    def kill(self) -> None:
        """End every process at once."""
        for process in self._processes:
            process.kill()

    def close(self) -> None:
        """Wait for the end of every process."""
        for process in self._processes:
            process.join()
