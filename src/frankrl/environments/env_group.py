"""A group of environments, some of them in worker processes.

A Python process steps one environment at a time, so on several processor cores worker processes
step some of them. Results do not depend on which process steps an environment.
"""

import contextlib
import itertools
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from frankrl.core.errors import EnvironmentFailedError, EnvironmentUnusableError, warn
from frankrl.core.numerics import users_variables
from frankrl.core.processes import module_command, search_path, searching
from frankrl.core.system import start_with_pipe
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
        # Ctrl-C is for the main process; a worker ends with its connection.
        self._connection, self._process = start_with_pipe(
            module_command("frankrl.environments.worker"),
            searching(search_path()) | users_variables(),
        )
        self._groups = itertools.count()
        self._awaited = 0
        """Number of answers still to be received."""

    def open(
        self,
        spec: EnvironmentSpec,
        env_indices: Sequence[int],
        info_metrics: Sequence[str] = (),
        first: int = 0,
    ) -> int:
        """Request a group of environments; the first answer shows whether they could be made."""
        group = next(self._groups)
        self.send(protocol.encode_open(group, spec, env_indices, info_metrics, first))
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


_T = TypeVar("_T")


class Tried(NamedTuple, Generic[_T]):
    """What came of resetting or stepping some environments."""

    found: list[_T | None]
    """What each returned, in their order; None if it failed, or was not asked after a failure."""
    failures: dict[int, EnvironmentFailedError]
    """The errors of those that failed, by their place in the order."""


class WorkerDiedError(EnvironmentFailedError):
    """The process that stepped an environment has died, whichever environment was to blame."""


@dataclass
class _Part:
    """The environments of a group that one worker has."""

    worker: Worker
    group: int
    """Number of the group in the worker."""
    env_indices: frozenset[int]
    has_died: bool = False


class EnvGroup:
    """Environments with indices from 0; workers step theirs at the same time."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        count: int,
        workers: Sequence[Worker] = (),
        info_metrics: Sequence[str] = (),
        first: int = 0,
    ) -> None:
        """Make the environments: equal parts in this process and in each worker.

        Where there are few workers, this process has the first ones, so that stepping only those
        needs no messages. Where there are many, it has none, and is free to send and receive.

        Args:
            spec: the environment.
            count: number of environments.
            workers: processes that step some of them.
            info_metrics: names of the numbers wanted from the info of an episode's last step.
            first: index in the run of the first of them, for messages.

        Raises:
            FrankError: an environment cannot be made.
        """
        self._spec, self._info_metrics, self._first = spec, tuple(info_metrics), first
        self._local: dict[int, CheckedEnv] = {}
        self._remote: list[_Part] = []
        self._settled = False
        """Whether every worker has answered that it could make its environments."""
        self._lost: set[int] = set()
        """Environments whose episode was lost with their process, until their next reset."""
        self._replacements: list[Worker] = []
        """Workers in the place of dead ones, which end with the group."""
        indices, is_free = np.arange(count), len(workers) >= _MANY_WORKERS
        others = np.array_split(indices, len(workers) + (not is_free))
        own = indices[:0] if is_free else others.pop(0)
        for worker, part in zip(workers, others, strict=True):
            if env_indices := part.tolist():
                group = worker.open(spec, env_indices, self._info_metrics, first)
                self._remote.append(_Part(worker, group, frozenset(env_indices)))
        try:
            for env_index in own.tolist():
                self._local[env_index] = self._made(env_index)
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
        return _all_of(self.try_reset(env_indices, seeds, episodes))

    def step(self, env_indices: Sequence[int], actions: Sequence[int]) -> list[EnvStep]:
        """Step some environments; returns the results of `CheckedEnv.step` in the same order.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        return _all_of(self.try_step(env_indices, actions))

    def try_reset(
        self, env_indices: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
    ) -> Tried[np.ndarray]:
        """Begin an episode in some environments, as far as they work."""
        return self._try("reset", env_indices, seeds, episodes)

    def try_step(self, env_indices: Sequence[int], actions: Sequence[int]) -> Tried[EnvStep]:
        """Step some environments, as far as they work."""
        return self._try("step", env_indices, actions)

    def make_anew(self, env_index: int) -> None:
        """Close an environment and make another one in its place.

        If its process has died, another one is started for all environments that the process had;
        they fail until their next reset.

        Raises:
            EnvironmentUnusableError: it cannot be made.
        """
        if env_index in self._local:
            self._local[env_index] = self._local[env_index].made_anew()
            return
        part = next(part for part in self._remote if env_index in part.env_indices)
        if part.has_died:
            try:
                part.worker = Worker()
            except OSError as error:
                raise EnvironmentUnusableError(
                    f"{self._death()}, and no other can be started: {error}"
                ) from error
            self._replacements.append(part.worker)
            env_indices = sorted(part.env_indices)
            part.group = part.worker.open(self._spec, env_indices, self._info_metrics, self._first)
            part.has_died = False
        elif env_index not in self._lost:
            part.worker.send(protocol.encode_make_anew(part.group, env_index))
        else:
            return
        answer = _received(part.worker)
        if answer != protocol.OK:
            raise EnvironmentUnusableError(protocol.decode_failure(answer)[0])

    def close(self) -> None:
        """Close every environment."""
        close_envs(self._local.values())
        for part in self._remote:
            part.worker.close_envs(part.group)
        for worker in self._replacements:
            worker.close()
        self._local, self._remote, self._replacements = {}, [], []

    def _made(self, env_index: int) -> CheckedEnv:
        return CheckedEnv(self._spec, self._first + env_index, info_metrics=self._info_metrics)

    def _settle(self) -> None:
        """Wait for the workers; environments that a worker cannot make are made in this process.

        For example, an environment may be registered only in this process.
        """
        for part in list(self._remote):
            answer = _received(part.worker)
            if answer != protocol.OK:
                self._remote.remove(part)
                reason, *_ = protocol.decode_failure(answer)
                warn(f"environments are stepped without a worker process: {reason}")
                self._local |= {
                    env_index: self._made(env_index) for env_index in sorted(part.env_indices)
                }
        self._settled = True

    def _try(self, what: str, env_indices: Sequence[int], *columns: Sequence[int]) -> Tried[Any]:
        if not self._settled:
            self._settle()
        tried: Tried[Any] = Tried([None] * len(env_indices), {})
        lost: set[int] = set()
        if self._lost:
            lost = self._noted_as_lost(what, env_indices, tried)
        asked = []
        for part in self._remote:
            own = part.env_indices - lost
            if places := [place for place, env_index in enumerate(env_indices) if env_index in own]:
                message = protocol.encode_step if what == "step" else protocol.encode_reset
                chosen = [[column[place] for place in places] for column in (env_indices, *columns)]
                part.worker.send(message(part.group, *chosen))
                asked.append((part, places))
        found, envs, place = tried.found, self._local, 0
        try:
            for place, (env_index, *row) in enumerate(zip(env_indices, *columns, strict=True)):
                if (env := envs.get(env_index)) is not None:
                    found[place] = getattr(env, what)(*row)
        except EnvironmentFailedError as error:
            tried.failures[place] = error
        # Every answer is received even after a failure, or a later request would get it.
        for part, places in asked:
            self._take(part, what, places, tried)
        return tried

    def _noted_as_lost(self, what: str, env_indices: Sequence[int], tried: Tried[Any]) -> set[int]:
        """The environments among these that cannot be stepped until they are reset."""
        if what == "reset":
            self._lost -= set(env_indices)
            return set()
        for place, env_index in enumerate(env_indices):
            if env_index in self._lost:
                tried.failures[place] = self._death()
        return self._lost

    def _take(self, part: _Part, what: str, places: list[int], tried: Tried[Any]) -> None:
        """Receive a worker's answer for the environments in these places."""
        try:
            answer = part.worker.receive()
        except EOFError:
            part.has_died = True
            self._lost |= part.env_indices
            tried.failures.update(dict.fromkeys(places, self._death()))
            return
        body, done = answer[1:], len(places)
        if answer[:1] == protocol.FAILED:
            message, done, body = protocol.decode_failure(answer)
            tried.failures[places[done]] = EnvironmentFailedError(message)
        read = protocol.decode_steps if what == "step" else protocol.decode_states
        for place, value in zip(places[:done], read(self._spec, body, done), strict=True):
            tried.found[place] = value

    def _death(self) -> WorkerDiedError:
        return WorkerDiedError(
            f"the process that stepped some of the environments {self._spec.env_id} has died"
        )


def _all_of(tried: Tried[_T]) -> list[_T]:
    """What all returned; raises the first error."""
    if tried.failures:
        raise tried.failures[min(tried.failures)]
    return tried.found  # pyright: ignore[reportReturnType]


def _received(worker: Worker) -> bytes:
    """A worker's next answer; that of a failure if the process has died."""
    try:
        return worker.receive()
    except EOFError:
        return protocol.encode_failure(EOFError("the process has died"))
