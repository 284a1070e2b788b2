"""Several environments stepped side by side, and brought back to where they were."""

import abc
import hashlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num, UInt16

from frankrl.environments.seat import Seat
from frankrl.environments.spec import EnvironmentSpec
from frankrl.randomness import Use, reset_seed
from frankrl.records import ACTION_DTYPE, FinishedEpisode, VectorStep


class EnvironmentLog(NamedTuple):
    """Where one environment stands: the episode it is in and the actions that led there.

    An environment's state is restored by doing the same again; `digest`, a hash of
    everything the environment returned, proves that it came out the same.
    """

    episode: int
    actions: UInt16[np.ndarray, " step"]
    """Since the last seeded reset."""
    digest: bytes


class EnvironmentVector(abc.ABC):
    """`num_envs` environments; an episode that ends is followed at once by the next.

    `step` returns each transition's true last state, and `observation` is where each
    environment stands now: past an episode's end, the first state of the next one.
    """

    spec: EnvironmentSpec
    num_envs: int
    observation: Num[np.ndarray, "env *obs"]

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


class _Player:
    """One environment and the record of its running episode."""

    def __init__(self, spec: EnvironmentSpec, index: int, seed: int) -> None:
        self.seat = Seat(spec, index)
        self.actions: list[int] = []
        self.episode_return = 0.0
        self._seed = seed
        self._hash = hashlib.blake2b(digest_size=16)

    def begin(self, episode: int) -> np.ndarray:
        """Reset to the first state of an episode."""
        self.actions, self.episode_return = [], 0.0
        self._hash = hashlib.blake2b(digest_size=16)
        seed = reset_seed(self._seed, Use.TRAINING_RESET, self.seat.index, episode)
        state = self.seat.reset(seed, episode)
        self._hash.update(state.tobytes())
        return state

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """Take an action, by its index from 0."""
        state, reward, terminated, truncated = self.seat.step(action)
        self.actions.append(action)
        self.episode_return += reward
        self._hash.update(state.tobytes())
        self._hash.update(np.float64(reward).tobytes())
        return state, reward, terminated, truncated

    def log(self) -> EnvironmentLog:
        actions = np.asarray(self.actions, ACTION_DTYPE)
        return EnvironmentLog(self.seat.episode, actions, self._hash.digest())

    def finished(self, env_steps: int) -> FinishedEpisode:
        return FinishedEpisode(
            env_steps=env_steps,
            env_index=self.seat.index,
            episode=self.seat.episode,
            episode_return=self.episode_return,
            length=len(self.actions),
        )


class GymnasiumVector(EnvironmentVector):
    """Gymnasium's environments in a plain loop.

    For environments that cost a few microseconds a step it is quicker than Gymnasium's
    own vector classes, lets every episode start from a seed of its own, and knows which
    environment failed.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int) -> None:
        """Make the environments and reset each to its first episode.

        Raises:
            EnvironmentFailedError: an environment does not even begin.
        """
        self.spec = spec
        self.num_envs = num_envs
        self._players: list[_Player] = []
        try:
            for index in range(num_envs):
                self._players.append(_Player(spec, index, seed))
            self.observation = np.stack([player.begin(0) for player in self._players])
        except BaseException:
            self.close()
            raise

    def step(
        self, actions: Int[np.ndarray, " env"], env_steps: int
    ) -> tuple[VectorStep, list[FinishedEpisode]]:
        observation = self.observation
        following = np.empty_like(observation)
        arrived = np.empty_like(observation)
        reward = np.empty(self.num_envs, np.float32)
        terminated = np.empty(self.num_envs, np.bool_)
        truncated = np.empty(self.num_envs, np.bool_)
        finished: list[FinishedEpisode] = []
        for i, (player, action) in enumerate(zip(self._players, actions.tolist(), strict=True)):
            state, reward[i], terminated[i], truncated[i] = player.step(action)
            arrived[i] = state
            if terminated[i] or truncated[i]:
                finished.append(player.finished(env_steps + i + 1))
                state = player.begin(player.seat.episode + 1)
            following[i] = state
        self.observation = following
        return VectorStep(observation, actions, reward, arrived, terminated, truncated), finished

    def logs(self) -> list[EnvironmentLog]:
        return [player.log() for player in self._players]

    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        different = []
        for i, (player, log) in enumerate(zip(self._players, logs, strict=True)):
            state = player.begin(log.episode)
            ended = False
            for action in log.actions.tolist():
                if ended:
                    break
                state, _, terminated, truncated = player.step(action)
                ended = terminated or truncated
            if ended or player.log().digest != log.digest:
                different.append(i)
                state = player.begin(log.episode + 1)
            self.observation[i] = state
        return different

    def close(self) -> None:
        for player in self._players:
            player.seat.close()
