"""Several environments by number, some of them in processes of their own.

A Python process steps one environment at a time, so on several processor cores some of
them are given to worker processes. Which process steps an environment changes nothing
that comes out of it.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from typing import Any

import numpy as np

from frankrl.core.errors import EnvironmentFailedError, FrankError, warn
from frankrl.environments import protocol
from frankrl.environments.checked_env import CheckedEnv, close_envs
from frankrl.environments.spec import EnvironmentSpec

_LEAST_SHARE_SECONDS = 500e-6
"""A worker's part of a step of all environments must take at least so long to be worth the
message and waking the process up, which took some 100 µs where it was measured."""
_MEASURED_STEPS, _MEASURED_SECONDS = 50, 0.02
_CLOSING_SECONDS = 5.0


class Worker:
    """One process that steps environments; it starts in the background."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: no process can be started.
        """
        self._connection, theirs = Pipe()
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "frankrl.environments.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": path},
                # Ctrl-C is for the process that asks; this one ends with its connection.
                start_new_session=True,
            )
        self._groups = itertools.count()
        self._awaited = 0
        """Answers that are still to come."""

    def open(self, spec: EnvironmentSpec, slots: Sequence[int]) -> int:
        """Ask for seats; the first answer that is received says whether they could be made."""
        group = next(self._groups)
        self.send(protocol.opening(group, spec, slots))
        return group

    def send(self, message: bytes) -> None:
        """Ask for something; one that has died is found out by `receive`."""
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
        """Close a group; a process that does not answer, or has died, is ended."""
        self.send(protocol.closing(group))
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
    """Up to so many workers; fewer where the system gives no more."""
    workers: list[Worker] = []
    with contextlib.suppress(OSError, TypeError):
        while len(workers) < count:
            workers.append(Worker())
    return workers


def step_seconds(spec: EnvironmentSpec) -> float:
    """How long a step of the environment takes, from a short try with its first actions. [s]

    An environment that fails in it will fail again where that is told.
    """
    taken = []
    with contextlib.suppress(FrankError), contextlib.closing(CheckedEnv(spec)) as seat:
        state = seat.reset(0, 0)
        end = time.perf_counter() + _MEASURED_SECONDS
        while len(taken) < _MEASURED_STEPS and (start := time.perf_counter()) < end:
            state, _, terminated, truncated = seat.step(_first_allowed(spec, state))
            taken.append(time.perf_counter() - start)
            if terminated or truncated:
                state = seat.reset(0, 0)
    return float(np.median(taken)) if taken else 0.0


def _first_allowed(spec: EnvironmentSpec, state: np.ndarray) -> int:
    allowed = spec.action_mask(state)
    return 0 if allowed is None else int(np.argmax(allowed))


def worthwhile_workers(seconds: float, count: int, available: int) -> int:
    """How many workers to step `count` environments with, each step taking so many seconds.

    Args:
        seconds: of one step of one environment.
        count: environments stepped together.
        available: processor cores with nothing else to do.
    """
    shares = int(seconds * count / _LEAST_SHARE_SECONDS)
    return max(0, min(available, shares - 1, count - 1))


class EnvGroup:
    """Environments by number, from 0; stepped together, those of workers at the same time."""

    def __init__(self, spec: EnvironmentSpec, count: int, workers: Sequence[Worker] = ()) -> None:
        """Make the environments: this process has the first, each worker as many of the others.

        Few slots, if they are the first ones, are so stepped without any message.

        Raises:
            FrankError: one cannot be made.
        """
        self._spec = spec
        self._local: dict[int, CheckedEnv] = {}
        self._remote: list[tuple[Worker, int, frozenset[int]]] = []
        self._settled = False
        """Whether every worker has said that it could make its seats."""
        own, *others = np.array_split(np.arange(count), len(workers) + 1)
        for worker, part in zip(workers, others, strict=True):
            if slots := part.tolist():
                self._remote.append((worker, worker.open(spec, slots), frozenset(slots)))
        try:
            for slot in own.tolist():
                self._local[slot] = CheckedEnv(spec, slot)
        except BaseException:
            self.close()
            raise

    def reset(
        self, slots: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
    ) -> list[np.ndarray]:
        """Begin an episode in each of the slots; their first states in the same order.

        Raises:
            EnvironmentFailedError: an environment raised, or gave something impossible.
        """
        return self._all("reset", slots, seeds, episodes)

    def step(self, slots: Sequence[int], actions: Sequence[int]) -> list[protocol.EnvStep]:
        """Take an action in each of the slots; what `CheckedEnv.step` returns, in the same order.

        Raises:
            EnvironmentFailedError: an environment raised, or gave something impossible.
        """
        return self._all("step", slots, actions)

    def close(self) -> None:
        """Close every environment."""
        close_envs(self._local.values())
        for worker, group, _ in self._remote:
            worker.close_envs(group)
        self._local, self._remote = {}, []

    def _settle(self) -> None:
        """Wait for the workers; what one cannot make is made here.

        An environment may be known to this process alone, for example.
        """
        for seats in list(self._remote):
            worker, _, slots = seats
            try:
                answer = worker.receive()
            except EOFError:
                answer = protocol.failure_told(EOFError("the process has died"), 0)
            if answer != protocol.OK:
                self._remote.remove(seats)
                reason = json.loads(answer[1:])["message"]
                warn(f"environments are stepped without a worker process: {reason}")
                self._local |= {slot: CheckedEnv(self._spec, slot) for slot in sorted(slots)}
        self._settled = True

    def _all(self, what: str, slots: Sequence[int], *columns: Sequence[int]) -> list[Any]:
        if not self._settled:
            self._settle()
        if not self._remote:
            seats, rows = self._local, zip(slots, *columns, strict=True)
            return [getattr(seats[slot], what)(*row) for slot, *row in rows]
        asked = []
        for worker, group, own in self._remote:
            if places := [place for place, slot in enumerate(slots) if slot in own]:
                message = protocol.stepping if what == "step" else protocol.resetting
                chosen = [[column[place] for place in places] for column in (slots, *columns)]
                worker.send(message(group, *chosen))
                asked.append((worker, places))
        found: list[Any] = [None] * len(slots)
        failures: list[tuple[int, EnvironmentFailedError]] = []
        for place, (slot, *row) in enumerate(zip(slots, *columns, strict=True)):
            if slot in self._local:
                try:
                    found[place] = getattr(self._local[slot], what)(*row)
                except EnvironmentFailedError as error:
                    failures.append((place, error))
                    break
        # Every answer is taken, whatever failed: the next one must be to the next question.
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
            told = json.loads(answer[1:])
            raise _FailedAt(told["message"], told["done"])
        read = protocol.read_steps if what == "step" else protocol.read_states
        return read(self._spec, answer[1:], len(places))


class _FailedAt(Exception):  # noqa: N818 - turned into Frank's own before anyone sees it
    def __init__(self, message: str, done: int) -> None:
        super().__init__(message)
        self.done = done
        """How many of the slots were done before."""
