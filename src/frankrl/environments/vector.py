"""Vectors of environments that are stepped together and can be restored."""

import abc
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

from frankrl.core.errors import RunFolderError
from frankrl.core.types import FailedEpisode, FinalInfo, FinishedEpisode, VectorStep
from frankrl.environments.episode_record import EnvironmentLog, EpisodeRecord, Position
from frankrl.environments.frame_stack import FrameStack
from frankrl.environments.spec import EnvironmentSpec


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
    final_infos: Mapping[int, FinalInfo] = {}
    """Of the episodes that ended here and gave something, by their place."""


class EnvironmentVector(abc.ABC):
    """`num_envs` environments; when an episode ends, the next one begins at once.

    `step` returns the true last state of an episode, and `observation` is the current state of
    each environment: after the end of an episode, the first state of the next one. Observations
    are rows (see `EnvironmentSpec`); `stack` has the newest ones as the network gets them. Every
    episode has a seed of its own, so it can be replayed without the episodes before it.
    """

    observation: Shaped[np.ndarray, "env *row"]

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int, first: int = 0) -> None:
        """Does not make any environment; subclasses make them and then call `_start`.

        Args:
            spec: the environment.
            num_envs: number of environments.
            seed: the run's seed.
            first: index in the run of the first of them, which may be only some of the run's.
                Seeds, finished episodes and messages go by the index in the run; every other index
                is a place in this vector.
        """
        self.spec = spec
        self.num_envs = num_envs
        self.first = first
        self._seed = seed
        self._all = list(range(num_envs))
        self._records = [EpisodeRecord(first + index) for index in self._all]
        self._failed: list[FailedEpisode] = []
        """The episodes that were dropped in the running step."""
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
        taken = actions.tolist()
        self._failed = []
        steps = self._stepped(taken, env_steps)
        observation, following, ended, numbers = self.observation, steps.row, [], []
        final_infos: dict[int, FinalInfo] = {}
        if np.count_nonzero(is_last := steps.terminated | steps.truncated):
            ended = np.flatnonzero(is_last).tolist()
            # Before the step is noted: should an environment fail here, the step was not taken.
            first_rows, numbers = self._first_rows(ended, env_steps)
            following = steps.row.copy()
            following[ended] = first_rows
            final_infos = {
                env_steps + self.first + place + 1: info
                for place, info in steps.final_infos.items()
            }
        self._note(self._all, taken, steps)
        finished = [self._records[index].finished(env_steps) for index in ended]
        for index, episode in zip(ended, numbers, strict=True):
            record = self._records[index]
            record.begin(episode, self.spec.fingerprint(following[index]), record.digest())
        self.observation = following
        self.stack.push(following)
        if ended:
            self.stack.begin(ended, following[ended])
        reward = steps.reward.astype(np.float32)
        step = VectorStep(
            observation,
            np.array(taken, actions.dtype) if self._failed else actions,
            reward,
            steps.row,
            steps.terminated,
            steps.truncated,
            steps.life_lost,
            final_infos,
            tuple(sorted(self._failed, key=_env_steps_of)) if self._failed else (),
        )
        return step, finished

    def _stepped(self, taken: list[int], env_steps: int) -> EnvSteps:
        """Step every environment.

        Args:
            taken: action indices; where an environment had to begin another episode, the action
                that was taken in that one.
            env_steps: env steps of the run before this step.
        """
        return self._step_envs(self._all, taken)

    def _first_rows(
        self, indices: list[int], env_steps: int
    ) -> tuple[Shaped[np.ndarray, "some *row"], list[int]]:
        """Begin the next episodes in some environments; returns their first rows and numbers."""
        episodes = [self._records[index].episode + 1 for index in indices]
        return self._reset_envs(indices, episodes), episodes

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
                    f"the checkpoint's log of environment {self.first + index} holds actions that "
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
            self.stack.push(steps.row, indices)
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
        # As Python's numbers: for the few environments of a vector, quicker than NumPy's.
        flags = zip(
            steps.terminated.tolist(),
            steps.truncated.tolist(),
            steps.life_lost.tolist(),
            strict=True,
        )
        rewards, fingerprints = steps.reward.tolist(), steps.row_hash
        if not self.spec.hashes_rows:
            whole, size = steps.row.tobytes(), self.spec.row_bytes
            fingerprints = [whole[size * n : size * (n + 1)] for n in range(len(indices))]
        columns = zip(indices, actions, rewards, flags, fingerprints, strict=True)
        for index, action, reward, (terminated, truncated, life_lost), fingerprint in columns:
            each = terminated + 2 * truncated + 4 * life_lost
            self._records[index].note(action, reward, each, fingerprint)


def _env_steps_of(failure: FailedEpisode) -> int:
    return failure.env_steps
