"""Jobs on a Ray cluster: one task per job, whose run moves with it.

Ray alone lets two processes write one run: it takes a node whose link is cut for dead, starts the
task elsewhere, and the old process goes on. So each task publishes its run on shared storage under
a lease with a fencing number, and only one of them can.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.cluster.connection import connect, disconnect, living_nodes, software
from frankrl.cluster.nodes import Node, resource_for
from frankrl.cluster.run_watch import RunWatch
from frankrl.cluster.task import Answer, run_task
from frankrl.core.errors import FrankError, warn
from frankrl.core.text import shown
from frankrl.jobs import Ended, Job
from frankrl.runs.publishing import fetch
from frankrl.training.published import LEASE_SECONDS

_MAX_RETRIES = 3
"""Times that Ray itself starts a task again whose node or process has died."""
_MAX_DEATHS = 3
"""Times that all these may be used up without a new checkpoint."""
_SHARE = 0.0001
"""How much of a CPU model's resource a task asks for, of the 1 that a node has: Ray's least."""
_LOOK_SECONDS = 5.0
"""Time between two looks at the cluster's nodes and at the published runs."""
_PATIENCE_SECONDS = 60.0
"""How long a run waits for a node of its CPU model, before it goes on on another one."""


@dataclass
class _Task:
    """A job on the cluster."""

    job: Job
    address: str
    watch: RunWatch
    resource: str = ""
    """Of the CPU model that it has asked for; empty: any."""
    missing_since: float | None = None
    """When no living node had that resource any more. [s]"""
    was_finished: bool = False
    """Whether its run was finished at the last look."""
    deaths: int = 0
    env_steps: int = -1
    """Of the newest checkpoint at the last death."""


class RayEngine:
    """Does jobs on the nodes of a Ray cluster. Whichever of them dies, each run has one history.

    A run is trained on the node's own disk, published in a shared folder, and copied to the job's
    run folder when it is over.
    """

    def __init__(
        self,
        address: str,
        published: Path,
        processes: int = 0,
        *,
        lease_seconds: float = LEASE_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """Connect to the cluster.

        Args:
            address: `HOST:PORT` of its head, or `auto`.
            published: a folder that all its machines see, for the runs while they go on.
            processes: number of jobs at once; 0: one per CPU of the cluster, as it grows and
                shrinks.
            lease_seconds: how long the process of a run is waited for before another one takes the
                run over. [s]
            patience_seconds: how long a run waits for a node of its CPU model. [s]

        Raises:
            FrankError: as for `connect`.
        """
        self._published = published.absolute()
        self._nodes: list[Node] = connect(address, self._published)
        self._looked = time.monotonic()
        self._processes = processes
        self._lease_seconds, self._patience_seconds = lease_seconds, patience_seconds
        self._tasks: dict[Any, _Task] = {}
        """By the reference that Ray gives the result of each."""

    @property
    def slots(self) -> int:
        """The number of jobs at once; 1 at least, which waits for a node if there is none."""
        return self._processes or max(1, sum(node.cpus for node in self._nodes))

    def begin(self, job: Job) -> None:
        """Give a job to the cluster; its run goes on where it is published.

        Raises:
            FrankError: the job needs an object that no other process has.
        """
        address = str(self._published / "-".join(job.run.parts[-2:]))
        self._place(_Task(job, address, RunWatch(address)))

    def ended(self, seconds: float) -> list[Ended]:
        """The jobs that have ended.

        Raises:
            FrankError: a task has died again and again.
            RuntimeError: a job has failed by a fault of the program.
        """
        found = [self._end(reference) for reference in self._ready(seconds)]
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked, self._nodes = now, living_nodes()
            found += [self._look_at(*each, now) for each in list(self._tasks.items())]
        return [end for end in found if end is not None]

    def stop(self) -> None:
        """Ask every task to publish its run and end; Ray sends its process a SIGINT."""
        import ray

        for reference in self._tasks:
            ray.cancel(reference, force=False)

    def kill(self) -> None:
        """End every task at once."""
        import ray

        for reference in self._tasks:
            ray.cancel(reference, force=True)
        self._tasks.clear()

    def close(self) -> None:
        """Wait for the end of the tasks that were stopped, and leave the cluster."""
        try:
            while self._tasks:
                for reference in self._ready(1.0):
                    del self._tasks[reference]
        finally:
            disconnect()

    def _place(self, task: _Task) -> None:
        """Give a task to Ray, on the CPU model on which its run was begun."""
        busy = Counter(task.resource for task in self._tasks.values())
        task.resource = resource_for(self._nodes, busy, task.watch.begin())
        self._submit(task)

    def _submit(self, task: _Task) -> None:
        import ray

        task.missing_since = None
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _MAX_RETRIES}
        if task.resource:
            options["resources"] = {task.resource: _SHARE}
        reference = ray.remote(**options)(run_task).remote(
            task.job.to_json(), task.address, software(), self._lease_seconds
        )
        self._tasks[reference] = task

    def _ready(self, seconds: float) -> list[Any]:
        """References of the tasks that have ended, after waiting for one for a while."""
        import ray

        if not self._tasks:
            return []
        done, rest = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        if done and rest:
            done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return done

    def _end(self, reference: Any) -> Ended | None:
        """How a task has ended; None if it was begun again.

        Raises:
            FrankError: it has died again and again.
            RuntimeError: it has failed by a fault of the program.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        task = self._tasks.pop(reference)
        try:
            answer = Answer.from_plain(ray.get(reference))
        except TaskCancelledError:
            return Ended(task.job, is_done=False)
        except RayTaskError as error:
            raise RuntimeError(f"a task of the run {task.job.run} failed:\n{error}") from error
        except RayError as error:
            self._bury(task, error)
            self._place(task)
            return None
        if answer.fault:
            raise RuntimeError(f"a task of the run {task.job.run} failed:\n{answer.fault}")
        if answer.is_done:
            return self._fetched(task)
        return Ended(task.job, False, answer.error, answer.fails_again)

    def _fetched(self, task: _Task) -> Ended:
        """Copy the run that is over to the job's run folder."""
        fetch(task.address, task.job.run, overwrite=True)
        return Ended(task.job, is_done=True)

    def _bury(self, task: _Task, error: Exception) -> None:
        """Count the deaths of a task that Ray starts no more.

        Raises:
            FrankError: it dies again and again.
        """
        env_steps = task.watch.env_steps
        task.deaths = task.deaths + 1 if task.env_steps == env_steps else 1
        task.env_steps = env_steps
        if task.deaths >= _MAX_DEATHS:
            last = shown(str(error).strip().partition("\n")[0])
            raise FrankError(
                f"the task of the run {task.job.run} has died again and again without writing a "
                f"checkpoint, perhaps for lack of memory ({last}): lower --processes; the same "
                "command continues from what is done"
            )

    def _look_at(self, reference: Any, task: _Task, now: float) -> Ended | None:
        """See how a task stands that Ray has not answered for; how it has ended, if it has."""
        state = task.watch.state(now)
        if state == "finished":
            # At the first look its answer may still be on its way.
            if task.was_finished:
                self._give_up(reference)
                return self._fetched(task)
            task.was_finished = True
        elif state == "lost":
            self._give_up(reference)
            self._place(task)
        elif self._has_no_node(task, now):
            self._give_up(reference)
            warn(
                f"no node of the CPU model {task.resource} is left for the run {task.job.run}: it "
                "goes on on another one, and its report says from which env step on"
            )
            task.resource = ""
            self._submit(task)
        return None

    def _has_no_node(self, task: _Task, now: float) -> bool:
        """Whether a task has waited long enough for a node of its CPU model."""
        there = {node.resource for node in self._nodes if node.cpus}
        if not task.resource or task.resource in there or not there:
            task.missing_since = None
        elif task.missing_since is None:
            task.missing_since = now
        return task.missing_since is not None and now - task.missing_since >= self._patience_seconds

    def _give_up(self, reference: Any) -> None:
        """Expect nothing of a task any more; if it still writes, its run refuses that."""
        import ray

        ray.cancel(reference, force=True)
        del self._tasks[reference]
