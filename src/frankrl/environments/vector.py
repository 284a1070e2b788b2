"""Several environments stepped side by side, and brought back to where they were."""

import abc
import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped, UInt16

from frankrl.core.errors import RunFolderError
from frankrl.core.random import Use, reset_seed
from frankrl.core.types import ACTION_DTYPE, FinishedEpisode, VectorStep
from frankrl.environments.env_group import EnvGroup, Worker
from frankrl.environments.spec import EnvironmentSpec

DIGEST_BYTES = 16
_STEP = struct.Struct("<Hd")
"""An action and its reward, as the hash of an episode takes them."""


class EnvironmentLog(NamedTuple):
    """Where one environment stands: the episode it is in and the actions that led there.

    An environment's state is restored by doing the same again; `digest`, a hash of the
    actions and of everything the environment returned, proves that it came out the same.
    """

    episode: int
    actions: UInt16[np.ndarray, " step"]
    """Since the last seeded reset."""
    digest: bytes
    """`DIGEST_BYTES` of them."""


def check_logs(
    logs: list[EnvironmentLog], spec: EnvironmentSpec, *, also: int | None = None
) -> None:
    """Refuse logs with actions that the environment does not have.

    Args:
        logs: from a checkpoint.
        spec: the environment's.
        also: a number that stands for something else in them.

    Raises:
        RunFolderError: there is such an action.
    """
    for index, log in enumerate(logs):
        if not ((log.actions < spec.num_actions) | (log.actions == also)).all():
            raise RunFolderError(
                f"the checkpoint's log of environment {index} holds actions that "
                f"{spec.env_id} does not have"
            )


class EnvironmentVector(abc.ABC):
    """`num_envs` environments; an episode that ends is followed at once by the next.

    `step` returns each transition's true last state, and `observation` is where each
    environment stands now: past an episode's end, the first state of the next one.
    """

    spec: EnvironmentSpec
    num_envs: int
    observation: Shaped[np.ndarray, "env *row"]

    @abc.abstractmethod
    def step(
        self, actions: Int[np.ndarray, " env"], env_steps: int
    ) -> tuple[VectorStep, list[FinishedEpisode]]:
        """Step every environment once.

        Args:
            actions: action indices from 0.
            env_steps: transitions of the whole run before this step.

        Raises:
            EnvironmentFailedError: an environment raised, or gave something impossible.
        """

    @abc.abstractmethod
    def logs(self) -> list[EnvironmentLog]:
        """Where each environment stands, enough to restore it."""

    @abc.abstractmethod
    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        """Bring every environment to where its log says.

        Returns:
            Indices of the environments that did not come out the same; each of those
            has begun its next episode instead.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment; one that fails to close does not stop the others."""


class _Record:
    """What one environment's running episode has been so far."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.begin(-1, None)

    def begin(self, episode: int, state: np.ndarray | None) -> None:
        """A new episode, in its first state."""
        self.episode = episode
        self.actions: list[int] = []
        self.episode_return = 0.0
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        if state is not None:
            self._hash.update(state.tobytes())

    def note(self, action: int, state: np.ndarray, reward: float) -> None:
        """A step of it."""
        self.actions.append(action)
        self.episode_return += reward
        self._hash.update(_STEP.pack(action, reward) + state.tobytes())

    def log(self) -> EnvironmentLog:
        actions = np.asarray(self.actions, ACTION_DTYPE)
        return EnvironmentLog(self.episode, actions, self._hash.digest())

    def finished(self, env_steps: int) -> FinishedEpisode:
        return FinishedEpisode(
            env_steps=env_steps + self.index + 1,
            env_index=self.index,
            episode=self.episode,
            episode_return=self.episode_return,
            length=len(self.actions),
        )


class GymnasiumVector(EnvironmentVector):
    """Gymnasium's environments in a plain loop, or spread over processes.

    For environments that cost a few microseconds a step it is quicker than Gymnasium's
    own vector classes, lets every episode start from a seed of its own, and knows which
    environment failed.
    """

    def __init__(
        self, spec: EnvironmentSpec, num_envs: int, seed: int, workers: Sequence[Worker] = ()
    ) -> None:
        """Make the environments and reset each to its first episode.

        Args:
            spec: of each.
            num_envs: how many.
            seed: the run's.
            workers: processes that step some of them.

        Raises:
            EnvironmentFailedError: an environment does not even begin.
        """
        self.spec = spec
        self.num_envs = num_envs
        self._seed = seed
        self._all = list(range(num_envs))
        self._records = [_Record(index) for index in self._all]
        self._seats = EnvGroup(spec, num_envs, workers)
        try:
            self.observation = np.stack(self._begin(self._all, [0] * num_envs))
        except BaseException:
            self.close()
            raise

    def _begin(self, indices: list[int], episodes: list[int]) -> list[np.ndarray]:
        """Reset some environments to the first states of episodes."""
        seeds = [
            reset_seed(self._seed, Use.TRAINING_RESET, index, episode)
            for index, episode in zip(indices, episodes, strict=True)
        ]
        states = self._seats.reset(indices, seeds, episodes)
        for index, episode, state in zip(indices, episodes, states, strict=True):
            self._records[index].begin(episode, state)
        return states

    def step(
        self, actions: Int[np.ndarray, " env"], env_steps: int
    ) -> tuple[VectorStep, list[FinishedEpisode]]:
        observation, taken = self.observation, actions.tolist()
        arrived = np.empty_like(observation)
        reward = np.empty(self.num_envs, np.float32)
        terminated = np.empty(self.num_envs, np.bool_)
        truncated = np.empty(self.num_envs, np.bool_)
        ended: list[_Record] = []
        steps = self._seats.step(self._all, taken)
        for i, (record, action, step) in enumerate(zip(self._records, taken, steps, strict=True)):
            arrived[i], reward[i], terminated[i], truncated[i] = step
            record.note(action, step[0], step[1])
            if step[2] or step[3]:
                ended.append(record)
        finished = [record.finished(env_steps) for record in ended]
        following = arrived
        if ended:
            following = arrived.copy()
            indices = [record.index for record in ended]
            states = self._begin(indices, [record.episode + 1 for record in ended])
            following[indices] = np.stack(states)
        self.observation = following
        return VectorStep(observation, actions, reward, arrived, terminated, truncated), finished

    def logs(self) -> list[EnvironmentLog]:
        return [record.log() for record in self._records]

    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        check_logs(logs, self.spec)
        states = self._begin(self._all, [log.episode for log in logs])
        left = [log.actions.tolist()[::-1] for log in logs]
        different: list[int] = []
        while indices := [i for i in self._all if left[i]]:
            actions = [left[i].pop() for i in indices]
            steps = self._seats.step(indices, actions)
            for i, action, step in zip(indices, actions, steps, strict=True):
                states[i] = step[0]
                self._records[i].note(action, step[0], step[1])
                if step[2] or step[3]:
                    # A log holds an episode that still goes on: this is not the same one.
                    different.append(i)
                    left[i] = []
        for i, log in enumerate(logs):
            if i not in different and self._records[i].log().digest != log.digest:
                different.append(i)
        different.sort()
        if different:
            next_ones = [logs[i].episode + 1 for i in different]
            for i, state in zip(different, self._begin(different, next_ones), strict=True):
                states[i] = state
        self.observation = np.stack(states)
        return different

    def close(self) -> None:
        self._seats.close()
