"""Vectors of environments that are stepped together and can be restored."""

import abc
import contextlib
import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped, UInt16

from frankrl.core.errors import (
    EnvironmentFailedError,
    EnvironmentUnusableError,
    RunFolderError,
)
from frankrl.core.random import Use, reset_seed
from frankrl.core.types import ACTION_DTYPE, FinishedEpisode, VectorStep
from frankrl.environments.env_group import EnvGroup, Worker
from frankrl.environments.frame_stack import FrameStack
from frankrl.environments.spec import DIGEST_BYTES, EnvironmentSpec

_STEP = struct.Struct("<HdB")
"""Action, reward and flags in the bytes that are hashed."""


class EnvironmentLog(NamedTuple):
    """Snapshot of one environment: its episode and the actions taken in it.

    The state is restored by taking the same actions again. `digest` shows whether the environment
    came to the same state.
    """

    episode: int
    actions: UInt16[np.ndarray, " step"]
    """Actions of the episode so far."""
    earlier: bytes
    """`digest` at the end of the episode before."""
    digest: bytes
    """Hash of `earlier`, of the actions, and of everything that the environment returned in this
    episode: `DIGEST_BYTES` that depend on all its episodes from the first on."""


class Position(NamedTuple):
    """Where one environment stands; unlike a log, it costs next to nothing."""

    episode: int
    actions: list[int]
    """Actions of the episode; the list may grow afterwards."""
    num_actions: int
    """How many of them had been taken."""
    earlier: bytes
    hashed: Any
    """The hash up to here."""

    def log(self) -> EnvironmentLog:
        """The snapshot of the environment at this point."""
        actions = np.asarray(self.actions[: self.num_actions], ACTION_DTYPE)
        return EnvironmentLog(self.episode, actions, self.earlier, self.hashed.digest())


class EnvSteps(NamedTuple):
    """One step of some environments."""

    row: Shaped[np.ndarray, "some *row"]
    """The next observation; at the end of an episode its true last one."""
    reward: Float64[np.ndarray, " some"]
    terminated: Bool[np.ndarray, " some"]
    truncated: Bool[np.ndarray, " some"]
    life_lost: Bool[np.ndarray, " some"]
    row_hash: list[bytes]
    """`EnvironmentSpec.row_hash` of each row."""


class _Record:
    """Record of the running episode of one environment."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.begin(-1, b"", bytes(DIGEST_BYTES))

    def begin(self, episode: int, first: bytes, earlier: bytes) -> None:
        """Begin a new episode, by the fingerprint of its first row; `earlier` as in
        `EnvironmentLog`."""
        self.episode = episode
        self.actions: list[int] = []
        self.episode_return = 0.0
        self._earlier = earlier
        self._hash = hashlib.blake2b(earlier + first, digest_size=DIGEST_BYTES)

    def begin_next(self, first: bytes) -> None:
        """Begin the episode after the running one."""
        self.begin(self.episode + 1, first, self.digest())

    def note(self, action: int, reward: float, flags: int, fingerprint: bytes) -> None:
        """Add a step that led to the row of this fingerprint."""
        self.actions.append(action)
        self.episode_return += reward
        self._hash.update(_STEP.pack(action, reward, flags) + fingerprint)

    def position(self) -> Position:
        count = len(self.actions)
        return Position(self.episode, self.actions, count, self._earlier, self._hash.copy())

    def digest(self) -> bytes:
        return self._hash.digest()

    def finished(self, env_steps: int) -> FinishedEpisode:
        return FinishedEpisode(
            env_steps=env_steps + self.index + 1,
            env_index=self.index,
            episode=self.episode,
            episode_return=self.episode_return,
            length=len(self.actions),
        )


class EnvironmentVector(abc.ABC):
    """`num_envs` environments; when an episode ends, the next one begins at once.

    `step` returns the true last state of an episode, and `observation` is the current state of
    each environment: after the end of an episode, the first state of the next one. Observations
    are rows (see `EnvironmentSpec`); `stack` has the newest ones as the network gets them. Every
    episode has a seed of its own, so it can be replayed without the episodes before it.
    """

    observation: Shaped[np.ndarray, "env *row"]

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int) -> None:
        """Does not make any environment; subclasses make them and then call `_start`.

        Args:
            spec: the environment.
            num_envs: number of environments.
            seed: the run's seed.
        """
        self.spec = spec
        self.num_envs = num_envs
        self._seed = seed
        self._all = list(range(num_envs))
        self._records = [_Record(index) for index in self._all]
        self.stack = FrameStack(spec, num_envs)

    @abc.abstractmethod
    def _reset_envs(
        self, indices: list[int], episodes: list[int]
    ) -> Shaped[np.ndarray, "some *row"]:
        """Begin episodes in some environments; returns their first rows."""

    @abc.abstractmethod
    def _step_envs(self, indices: list[int], actions: list[int]) -> EnvSteps:
        """Step some environments."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment; errors are ignored."""

    def step(
        self, actions: Int[np.ndarray, " env"], env_steps: int
    ) -> tuple[VectorStep, list[FinishedEpisode]]:
        """Step every environment once.

        Args:
            actions: action indices from 0.
            env_steps: env steps of the run before this step.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        observation, taken = self.observation, actions.tolist()
        steps = self._step_envs(self._all, taken)
        following, ended = steps.row, []
        if np.count_nonzero(is_last := steps.terminated | steps.truncated):
            ended = np.flatnonzero(is_last).tolist()
            # Before the step is noted: should an environment fail here, the step was not taken.
            first_rows = self._reset_envs(ended, [self._records[i].episode + 1 for i in ended])
            following = steps.row.copy()
            following[ended] = first_rows
        self._note(self._all, taken, steps)
        finished = [self._records[index].finished(env_steps) for index in ended]
        for index in ended:
            self._records[index].begin_next(self.spec.fingerprint(following[index]))
        self.observation = following
        self.stack.push(self._all, following)
        if ended:
            self.stack.begin(ended, following[ended])
        reward = steps.reward.astype(np.float32)
        step = VectorStep(
            observation,
            actions,
            reward,
            steps.row,
            steps.terminated,
            steps.truncated,
            steps.life_lost,
        )
        return step, finished

    def logs(self) -> list[EnvironmentLog]:
        """Snapshots from which the environments can be restored."""
        return [position.log() for position in self.positions()]

    def positions(self) -> list[Position]:
        """Where each environment stands now, from which `Position.log` makes a snapshot."""
        return [record.position() for record in self._records]

    def digests(self) -> list[bytes]:
        """The digest of each environment, as in its log."""
        return [record.digest() for record in self._records]

    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        """Restore every environment from its log.

        Returns:
            Indices of the environments that did not come to the same state; these have begun
            their next episode instead.

        Raises:
            RunFolderError: a log holds an action that the environment does not have.
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        for index, log in enumerate(logs):
            if not (log.actions < self.spec.num_actions).all():
                raise RunFolderError(
                    f"the checkpoint's log of environment {index} holds actions that "
                    f"{self.spec.env_id} does not have"
                )
        earlier = [log.earlier for log in logs]
        rows = self._begin(self._all, [log.episode for log in logs], earlier)
        left = [log.actions.tolist()[::-1] for log in logs]
        different: set[int] = set()
        while indices := [index for index in self._all if left[index]]:
            actions = [left[index].pop() for index in indices]
            steps = self._step_envs(indices, actions)
            self._note(indices, actions, steps)
            self.stack.push(indices, steps.row)
            rows[indices] = steps.row
            for place in np.flatnonzero(steps.terminated | steps.truncated).tolist():
                # A log holds a running episode, so this one is different.
                different.add(indices[place])
                left[indices[place]] = []
        digests = self.digests()
        different |= {index for index in self._all if digests[index] != logs[index].digest}
        if different:
            again = sorted(different)
            rows[again] = self._begin_next(again)
        self.observation = rows
        return sorted(different)

    def _start(self) -> None:
        """Begin the first episode of every environment.

        Raises:
            EnvironmentFailedError: an environment fails at its first reset.
        """
        try:
            self.observation = self._begin_next(self._all)
        except BaseException:
            self.close()
            raise

    def _begin_next(self, indices: list[int]) -> Shaped[np.ndarray, "some *row"]:
        """Begin the next episode of some environments; returns their first rows."""
        records = [self._records[index] for index in indices]
        episodes = [record.episode + 1 for record in records]
        return self._begin(indices, episodes, [record.digest() for record in records])

    def _begin(
        self, indices: list[int], episodes: list[int], earlier: list[bytes]
    ) -> Shaped[np.ndarray, "some *row"]:
        rows = self._reset_envs(indices, episodes)
        self.stack.begin(indices, rows)
        for index, episode, row, digest in zip(indices, episodes, rows, earlier, strict=True):
            self._records[index].begin(episode, self.spec.fingerprint(row), digest)
        return rows

    def _note(self, indices: list[int], actions: list[int], steps: EnvSteps) -> None:
        flags = steps.terminated + 2 * steps.truncated + 4 * steps.life_lost
        rewards, fingerprints = steps.reward.tolist(), steps.row_hash
        if not self.spec.hashes_rows:
            whole, size = steps.row.tobytes(), self.spec.row_bytes
            fingerprints = [whole[size * n : size * (n + 1)] for n in range(len(indices))]
        columns = zip(indices, actions, rewards, flags.tolist(), fingerprints, strict=True)
        for index, action, reward, each, fingerprint in columns:
            self._records[index].note(action, reward, each, fingerprint)


class GymnasiumVector(EnvironmentVector):
    """Gymnasium's environments in a plain loop, or spread over processes.

    Unlike Gymnasium's own vector classes, it is fast for environments that take a few
    microseconds per step, gives every episode a seed of its own, and knows which environment
    failed.
    """

    def __init__(
        self, spec: EnvironmentSpec, num_envs: int, seed: int, workers: Sequence[Worker] = ()
    ) -> None:
        """Make the environments and begin the first episode of each.

        Args:
            spec: the environment.
            num_envs: number of environments.
            seed: the run's seed.
            workers: processes that step some of the environments.

        Raises:
            EnvironmentFailedError: an environment fails at its first reset.
            EnvironmentUnusableError: an environment cannot be made.
        """
        super().__init__(spec, num_envs, seed)
        try:
            self._envs = EnvGroup(spec, num_envs, workers)
        except EnvironmentUnusableError as error:
            hint = f". If only one can exist, set num_envs ({num_envs:,}) to 1"
            raise EnvironmentUnusableError(f"{error}{hint if num_envs > 1 else ''}") from error
        self._start()

    @contextlib.contextmanager
    def lent(self) -> Iterator[EnvGroup]:
        """Lend the environments; afterwards their episodes go on, restored from their logs.

        Raises:
            EnvironmentFailedError: an environment did not come back to the same state.
        """
        logs = self.logs()
        try:
            yield self._envs
        except EnvironmentFailedError:
            raise
        except BaseException:
            self._take_back(logs)
            raise
        self._take_back(logs)

    def _take_back(self, logs: list[EnvironmentLog]) -> None:
        if different := self.restore(logs):
            raise EnvironmentFailedError(
                f"environment {different[0]} ({self.spec.env_id}) did not come back to its state "
                "after an evaluation: it must depend on its seed and the actions only; set "
                "evaluation_on to own"
            )

    def _reset_envs(
        self, indices: list[int], episodes: list[int]
    ) -> Shaped[np.ndarray, "some *row"]:
        seeds = [
            reset_seed(self._seed, Use.TRAINING_RESET, index, episode)
            for index, episode in zip(indices, episodes, strict=True)
        ]
        return np.stack(self._envs.reset(indices, seeds, episodes))

    def _step_envs(self, indices: list[int], actions: list[int]) -> EnvSteps:
        count, spec = len(indices), self.spec
        row = np.empty((count, *spec.row_shape), spec.row_dtype)
        reward, (terminated, truncated, life_lost) = np.empty(count), np.empty((3, count), np.bool_)
        steps = self._envs.step(indices, actions)
        for place, step in enumerate(steps):
            row[place], reward[place] = step.row, step.reward
            terminated[place], truncated[place] = step.terminated, step.truncated
            life_lost[place] = step.life_lost
        row_hashes = [step.row_hash for step in steps]
        return EnvSteps(row, reward, terminated, truncated, life_lost, row_hashes)

    def close(self) -> None:
        self._envs.close()
