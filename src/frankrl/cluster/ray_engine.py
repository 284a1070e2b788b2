"""Jobs on a Ray cluster: one task per job, whose run moves with it.

Ray alone lets two processes write one run: it takes a node whose link is cut for dead, starts the
task elsewhere, and the old process goes on. So each task publishes its run on shared storage under
a lease with a fencing number, and only one of them can.
"""

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from frankrl.cluster.connection import connect, disconnect, living_nodes, software
from frankrl.cluster.given_task import GivenTask
from frankrl.cluster.nodes import Node, cpu_resource, resource_for
from frankrl.cluster.run_watch import RunWatch
from frankrl.cluster.task import run_task
from frankrl.core.errors import StorageError, warn
from frankrl.core.text import shown
from frankrl.jobs import Answer, Deaths, Ended, Job
from frankrl.runs.publishing import fetch, open_storage
from frankrl.training.published import LEASE_SECONDS

_MAX_RETRIES = 3
"""Times that Ray itself starts a task again whose node or process has died."""
_SHARE = 0.0001
"""How much of a CPU model's resource a task asks for, of the 1 that a node has: Ray's least."""
_LOOK_SECONDS = 5.0
"""Time between two looks at the cluster's nodes and at the published runs."""
_PATIENCE_SECONDS = 60.0
"""How long a run waits for a node of its CPU model, before it goes on on another one."""
_STOPPED = "its process was stopped by others"


class RayEngine:
    """Does jobs on the nodes of a Ray cluster. Whichever of them dies, each run has one history.

    A run is trained on the node's own disk, published in shared storage, and copied to the job's
    run folder when it is over.
    """

    def __init__(
        self,
        address: str,
        published: str | os.PathLike[str],
        processes: int = 0,
        *,
        prunes: bool = False,
        lease_seconds: float = LEASE_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        """Connect to the cluster.

        Args:
            address: `HOST:PORT` of its head, or `auto`.
            published: shared storage for the runs while they go on: a folder that all its machines
                see, or an address that fsspec opens.
            processes: number of jobs at once; 0: one per CPU of the cluster, as it grows and
                shrinks.
            prunes: whether jobs have a rule by which their runs are pruned.
            lease_seconds: how long the process of a run is waited for before another one takes the
                run over. [s]
            patience_seconds: how long a run waits for a node of its CPU model. [s]

        Raises:
            FrankError: as for `connect`.
        """
        self._published = open_storage(published).address
        shared = None if "://" in self._published else Path(self._published)
        self._nodes: list[Node] = connect(address, shared, prunes=prunes)
        self._looked = time.monotonic()
        self._processes = processes
        self._lease_seconds, self._patience_seconds = lease_seconds, patience_seconds
        self._tasks: dict[Any, GivenTask] = {}
        """By the reference that Ray gives the result of each."""
        self._waiting: list[GivenTask] = []
        """What Ray is to get at the next look."""
        self._deaths = Deaths()

    @property
    def slots(self) -> int:
        """The number of jobs at once; 1 at least, which waits for a node if there is none."""
        return self._processes or max(1, sum(node.cpus for node in self._nodes))

    def begin(self, job: Job) -> None:
        """Give a job to the cluster; its run goes on where it is published.

        Raises:
            FrankError: the job needs an object that no other process has, or the storage cannot be
                reached.
        """
        address = f"{self._published}/{'-'.join(job.run.parts[-2:])}"
        self._place(GivenTask(job, address, RunWatch(address)))

    def ended(self, seconds: float) -> list[Ended]:
        """The jobs that have ended.

        Raises:
            FrankError: a run has broken off again and again.
            RuntimeError: a job has failed by a fault of the program.
        """
        found = [self._end(reference) for reference in self._ready(seconds)]
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked, self._nodes = now, living_nodes()
            found += [self._look_at(*each, now) for each in list(self._tasks.items())]
            self._place_waiting()
        return [end for end in found if end is not None]

    def stop(self) -> None:
        """Ask every task to publish its run and end; Ray sends its process a SIGINT."""
        import ray

        self._waiting.clear()
        for reference in self._tasks:
            ray.cancel(reference, force=False)

    def kill(self) -> None:
        """End every task at once."""
        import ray

        self._waiting.clear()
        for reference in self._tasks:
            ray.cancel(reference, force=True)
        self._tasks.clear()

    def close(self) -> None:
        """Wait for the end of the tasks that were stopped, and leave the cluster.

        A task that is frozen or cut off is waited for until its lease has expired, because Ray may
        wait for minutes.
        """
        begun = looked = time.monotonic()
        try:
            while self._tasks:
                for reference in self._ready(1.0):
                    del self._tasks[reference]
                now = time.monotonic()
                if now - looked < _LOOK_SECONDS:
                    continue
                looked = now
                for reference, task in list(self._tasks.items()):
                    state = task.watch.state(now)
                    is_late = now - begun >= self._lease_seconds
                    if state in ("lost", "finished") or (state == "not begun" and is_late):
                        self._give_up(reference)
        finally:
            disconnect()

    def _place(self, task: GivenTask) -> None:
        """Give a task to Ray, on the CPU model on which its run was begun.

        Raises:
            FrankError: the run has broken off again and again.
            StorageError: the storage cannot be reached.
        """
        begun_on = task.watch.begin()
        if task.broken_off:
            self._deaths.count(task.job.run, task.watch.env_steps, task.broken_off)
            warn(f"the run {task.job.run} has broken off: {task.broken_off}; it goes on elsewhere")
            task.broken_off = ""
        busy = Counter(task.resource for task in self._tasks.values())
        others = [node for node in self._nodes if node.node_id not in task.avoided]
        nodes = others if any(node.cpus for node in others) else self._nodes
        resource = resource_for(nodes, busy, begun_on, task.given_up)
        if begun_on and task.given_up == cpu_resource(begun_on) != resource:
            warn(
                f"no node of the CPU model {task.given_up} is left for the run {task.job.run}: it "
                "goes on on another one, and its report says from which env step on"
            )
        if resource != task.resource:
            task.resource, task.missing_since = resource, None
        self._submit(task)

    def _submit(self, task: GivenTask) -> None:
        import ray

        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _MAX_RETRIES}
        if task.resource:
            options["resources"] = {task.resource: _SHARE}
        there = {n.node_id for n in self._nodes if n.cpus and task.resource in ("", n.resource)}
        if task.avoided and there - task.avoided:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(task.avoided))})"}
        reference = ray.remote(**options)(run_task).remote(
            task.job.to_json(),
            task.address,
            software(prunes=task.job.pruning is not None),
            self._lease_seconds,
        )
        task.placed, task.was_finished = time.monotonic(), False
        self._tasks[reference] = task

    def _place_waiting(self) -> None:
        """Give Ray what waits for it, as far as the storage can be reached."""
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            try:
                self._place(task)
            except StorageError as error:
                warn(f"{error}; Frank tries again until it can be reached")
                self._waiting.append(task)

    def _ready(self, seconds: float) -> list[Any]:
        """References of the tasks that have ended, after waiting for one for a while."""
        import ray

        if not self._tasks:
            if self._waiting:
                time.sleep(seconds)
            return []
        done, rest = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        if done and rest:
            done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return done

    def _end(self, reference: Any) -> Ended | None:
        """How a task has ended; None if it is to begin again.

        Raises:
            RuntimeError: it has failed by a fault of the program.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError, TaskCancelledError

        task = self._tasks.pop(reference)
        try:
            found: Any = ray.get(reference)
        except TaskCancelledError:
            return self._again(task, _STOPPED)
        except RayTaskError as error:
            # A fault of Frank's is in the answer; so the node could not even begin.
            last = shown(str(error).strip().rpartition("\n")[2])
            return self._again(task, f"a node cannot run Frank ({last})")
        except RayError as error:
            last = shown(str(error).strip().partition("\n")[0])
            return self._again(task, f"{last}, perhaps for lack of memory (lower --processes)")
        ended = Answer.from_plain(found["answer"]).ended(task.job)
        if ended.is_done:
            return self._fetched(task)
        if ended.fails_again:
            return ended
        if ended.error:
            # It lies in the node, such as a full disk; the others may do better.
            task.avoided.add(found["node_id"])
        return self._again(task, ended.error or _STOPPED)

    def _again(self, task: GivenTask, why: str) -> None:
        """Let a task begin again at the next look; its run has broken off."""
        task.broken_off = why
        self._waiting.append(task)

    def _fetched(self, task: GivenTask) -> Ended | None:
        """Copy the run that is over to the job's run folder; None if that is to be tried again."""
        try:
            fetch(task.address, task.job.run, overwrite=True)
        except StorageError:
            # A new task finds that the run is over.
            self._waiting.append(task)
            return None
        return Ended(task.job, is_done=True)

    def _look_at(self, reference: Any, task: GivenTask, now: float) -> Ended | None:
        """See how a task stands that Ray has not answered for; how it has ended, if it has."""
        state = task.watch.state(now)
        if state == "finished":
            # At the first look its answer may still be on its way.
            if task.was_finished:
                self._give_up(reference)
                return self._fetched(task)
            task.was_finished = True
            return None
        if state == "lost":
            task.broken_off = "its process has renewed its lease no more"
        elif self._has_no_node(task, now):
            task.given_up = task.resource
        elif state == "not begun" and now - task.placed >= task.begin_seconds:
            task.begin_seconds *= 2
        else:
            return None
        self._give_up(reference)
        self._waiting.append(task)
        return None

    def _has_no_node(self, task: GivenTask, now: float) -> bool:
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
