"""A group of environments, some of them in worker processes.

A Python process steps one environment at a time, so on several processor cores worker processes
step some of them. Results do not depend on which process steps an environment.
"""

import contextlib
import itertools
import json
import subprocess
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from typing import Any

import numpy as np

from frankrl.core.errors import EnvironmentFailedError, warn
from frankrl.core.numerics import users_variables
from frankrl.core.processes import module_command, search_path, searching
from frankrl.environments import protocol
from frankrl.environments.checked_env import CheckedEnv, EnvStep, close_envs
from frankrl.environments.spec import EnvironmentSpec

_MANY_WORKERS = 4
"""With so many workers, or more, the main process steps no environment itself."""
_LEAST_SHARE_SECONDS = 500e-6
"""Minimum time of a worker's part of a vector step. A message to a worker and back took about
100 µs where it was measured."""
_CLOSING_SECONDS = 5.0


class Worker:
    """One process that steps environments; it starts in the background."""

    def __init__(self) -> None:
        """Start the process.

        Raises:
            OSError: no process can be started.
        """
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [*module_command("frankrl.environments.worker"), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=searching(search_path()) | users_variables(),
                # Ctrl-C is for the main process; a worker ends with its connection.
                start_new_session=True,
            )
        self._groups = itertools.count()
        self._awaited = 0
        """Number of answers still to be received."""

    def open(self, spec: EnvironmentSpec, env_indices: Sequence[int]) -> int:
        """Request a group of environments; the first answer shows whether they could be made."""
        group = next(self._groups)
        self.send(protocol.encode_open(group, spec, env_indices))
        return group

    def send(self, message: bytes) -> None:
        """Send a request; if the process has died, `receive` raises."""
        self._awaited += 1
        with contextlib.suppress(OSError):
            self._connection.send_bytes(message)

    def receive(self) -> bytes:
        """The next answer.

        Raises:
            EOFError: the process has died.
        """
        try:
            answer = self._connection.recv_bytes()
        except OSError as error:
            raise EOFError from error
        self._awaited -= 1
        return answer

    def close_envs(self, group: int) -> None:
        """Close a group of environments; a process that does not answer is killed."""
        self.send(protocol.encode_close(group))
        end = time.monotonic() + _CLOSING_SECONDS
        try:
            while self._awaited:
                if not self._connection.poll(max(0.0, end - time.monotonic())):
                    self._process.kill()
                self.receive()
        except (EOFError, OSError):
            self._awaited = 0

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_workers(count: int) -> list[Worker]:
    """Start up to `count` workers; fewer if the system allows no more."""
    workers: list[Worker] = []
    with contextlib.suppress(OSError, TypeError):
        while len(workers) < count:
            workers.append(Worker())
    return workers


def worthwhile_workers(seconds: float, count: int, available: int) -> int:
    """Number of workers that speed up the stepping of environments.

    Args:
        seconds: time of a step of one environment.
        count: environments stepped together.
        available: idle processor cores.
    """
    shares = int(seconds * count / _LEAST_SHARE_SECONDS)
    return max(0, min(available, shares - 1, count - 1))


class EnvGroup:
    """Environments with indices from 0; workers step theirs at the same time."""

    def __init__(self, spec: EnvironmentSpec, count: int, workers: Sequence[Worker] = ()) -> None:
        """Make the environments: equal parts in this process and in each worker.

        Where there are few workers, this process has the first ones, so that stepping only those
        needs no messages. Where there are many, it has none, and is free to send and receive.

        Raises:
            FrankError: an environment cannot be made.
        """
        self._spec = spec
        self._local: dict[int, CheckedEnv] = {}
        self._remote: list[tuple[Worker, int, frozenset[int]]] = []
        self._settled = False
        """Whether every worker has answered that it could make its environments."""
        indices, is_free = np.arange(count), len(workers) >= _MANY_WORKERS
        others = np.array_split(indices, len(workers) + (not is_free))
        own = indices[:0] if is_free else others.pop(0)
        for worker, part in zip(workers, others, strict=True):
            if env_indices := part.tolist():
                self._remote.append(
                    (worker, worker.open(spec, env_indices), frozenset(env_indices))
                )
        try:
            for env_index in own.tolist():
                self._local[env_index] = CheckedEnv(spec, env_index)
        except BaseException:
            self.close()
            raise

    def reset(
        self, env_indices: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
    ) -> list[np.ndarray]:
        """Begin an episode in some environments; returns their first states in the same order.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        return self._all("reset", env_indices, seeds, episodes)

    def step(self, env_indices: Sequence[int], actions: Sequence[int]) -> list[EnvStep]:
        """Step some environments; returns the results of `CheckedEnv.step` in the same order.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        return self._all("step", env_indices, actions)

    def close(self) -> None:
        """Close every environment."""
        close_envs(self._local.values())
        for worker, group, _ in self._remote:
            worker.close_envs(group)
        self._local, self._remote = {}, []

    def _settle(self) -> None:
        """Wait for the workers; environments that a worker cannot make are made in this process.

        For example, an environment may be registered only in this process.
        """
        for part in list(self._remote):
            worker, _, env_indices = part
            try:
                answer = worker.receive()
            except EOFError:
                answer = protocol.encode_failure(EOFError("the process has died"), 0)
            if answer != protocol.OK:
                self._remote.remove(part)
                reason = json.loads(answer[1:])["message"]
                warn(f"environments are stepped without a worker process: {reason}")
                self._local |= {
                    env_index: CheckedEnv(self._spec, env_index)
                    for env_index in sorted(env_indices)
                }
        self._settled = True

    def _all(self, what: str, env_indices: Sequence[int], *columns: Sequence[int]) -> list[Any]:
        if not self._settled:
            self._settle()
        if not self._remote:
            envs, rows = self._local, zip(env_indices, *columns, strict=True)
            return [getattr(envs[env_index], what)(*row) for env_index, *row in rows]
        asked = []
        for worker, group, own in self._remote:
            if places := [place for place, env_index in enumerate(env_indices) if env_index in own]:
                message = protocol.encode_step if what == "step" else protocol.encode_reset
                chosen = [[column[place] for place in places] for column in (env_indices, *columns)]
                worker.send(message(group, *chosen))
                asked.append((worker, places))
        found: list[Any] = [None] * len(env_indices)
        failures: list[tuple[int, EnvironmentFailedError]] = []
        for place, (env_index, *row) in enumerate(zip(env_indices, *columns, strict=True)):
            if env_index in self._local:
                try:
                    found[place] = getattr(self._local[env_index], what)(*row)
                except EnvironmentFailedError as error:
                    failures.append((place, error))
                    break
        # Every answer is received even after a failure, or a later request would get it.
        for worker, places in asked:
            try:
                for place, value in zip(places, self._answer(worker, what, places), strict=True):
                    found[place] = value
            except _FailedAt as failed:
                place = places[failed.done]
                failures.append((place, EnvironmentFailedError(str(failed))))
        if failures:
            raise min(failures, key=lambda failure: failure[0])[1]
        return found

    def _answer(self, worker: Worker, what: str, places: list[int]) -> list[Any]:
        try:
            answer = worker.receive()
        except EOFError:
            text = f"the process that stepped some of the environments {self._spec.env_id} has died"
            raise _FailedAt(text, 0) from None
        if answer[:1] == protocol.FAILED:
            failure = json.loads(answer[1:])
            raise _FailedAt(failure["message"], failure["done"])
        read = protocol.decode_steps if what == "step" else protocol.decode_states
        return read(self._spec, answer[1:], len(places))


class _FailedAt(Exception):  # noqa: N818 - turned into Frank's own before anyone sees it
    def __init__(self, message: str, done: int) -> None:
        super().__init__(message)
        self.done = done
        """Number of environments that were done before the failure."""
