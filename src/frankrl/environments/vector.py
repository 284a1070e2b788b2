"""Several environments stepped side by side, and brought back to where they were.

A plain loop: for environments that cost a few microseconds a step it is quicker
than Gymnasium's vector classes, lets every episode start from a seed of its own, and
knows which environment failed.
"""

import contextlib
import hashlib
import math
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Int, Num, UInt16

from frankrl.environments.spec import EnvironmentSpec, make_environment
from frankrl.errors import EnvironmentFailedError
from frankrl.randomness import Use, reset_seed
from frankrl.records import ACTION_DTYPE, FinishedEpisode, VectorStep


class EnvironmentLog(NamedTuple):
    """Where one environment stands: the episode it is in and the actions since its reset.

    An environment's state is restored by doing the same again; `digest`, a hash of
    everything the environment returned, proves that it came out the same.
    """

    episode: int
    actions: UInt16[np.ndarray, " step"]
    digest: bytes


class _Seat:
    """One environment and its running episode."""

    def __init__(self, index: int, spec: EnvironmentSpec, seed: Callable[[int, int], int]) -> None:
        self.index = index
        self.env: gymnasium.Env = make_environment(spec.env_id, spec.env_kwargs)
        self.episode = -1
        self.actions: list[int] = []
        self.episode_return = 0.0
        self._spec = spec
        self._seed = seed
        self._hash = hashlib.blake2b(digest_size=16)

    def begin(self, episode: int) -> np.ndarray:
        """Reset to the first state of an episode."""
        self.episode, self.actions, self.episode_return = episode, [], 0.0
        self._hash = hashlib.blake2b(digest_size=16)
        try:
            observation, _ = self.env.reset(seed=self._seed(self.index, episode))
        except Exception as error:
            raise self._failed(error) from error
        stored = self._stored(observation)
        self._hash.update(stored.tobytes())
        return stored

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool]:
        """Take an action, by its index from 0."""
        try:
            observation, reward, terminated, truncated, _ = self.env.step(
                self._spec.first_action + action
            )
            reward = float(reward)
        except Exception as error:
            raise self._failed(error) from error
        self.actions.append(action)
        self.episode_return += reward
        stored = self._stored(observation)
        if not math.isfinite(reward):
            raise EnvironmentFailedError(f"{self.place()} gave the reward {reward}")
        self._hash.update(stored.tobytes())
        self._hash.update(np.float64(reward).tobytes())
        return stored, reward, bool(terminated), bool(truncated)

    def log(self) -> EnvironmentLog:
        actions = np.asarray(self.actions, ACTION_DTYPE)
        return EnvironmentLog(self.episode, actions, self._hash.digest())

    def _stored(self, observation: Any) -> np.ndarray:
        stored = self._spec.encode(observation)
        if stored.shape != self._spec.observation_shape:
            raise EnvironmentFailedError(
                f"{self.place()} gave an observation of shape {stored.shape}; "
                f"its space says {self._spec.observation_shape}"
            )
        if stored.dtype != self._spec.observation_dtype:
            stored = stored.astype(self._spec.observation_dtype)
        return stored

    def place(self) -> str:
        """Where this environment is, in words."""
        return (
            f"environment {self.index} ({self._spec.env_id}), episode {self.episode}, "
            f"step {len(self.actions)}"
        )

    def _failed(self, error: Exception) -> EnvironmentFailedError:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        return EnvironmentFailedError(
            f"{self.place()} raised {type(error).__name__}: {text} "
            f"({frame.filename}:{frame.lineno})"
        )


class EnvironmentVector:
    """`num_envs` environments; an episode that ends is followed at once by the next.

    `step` returns each transition's true last state, and `observation` is where each
    environment stands now: past an episode's end, the first state of the next one.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int) -> None:
        """Make the environments and reset each to its first episode."""
        self.spec = spec
        self.num_envs = num_envs
        self._seats: list[_Seat] = []
        try:
            for index in range(num_envs):
                self._seats.append(
                    _Seat(index, spec, lambda i, n: reset_seed(seed, Use.TRAINING_RESET, i, n))
                )
            self.observation = np.stack([seat.begin(0) for seat in self._seats])
            for index in range(num_envs):
                self._check_finite(index, self.observation[index])
        except BaseException:
            self.close()
            raise

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
        observation = self.observation
        following = np.empty_like(observation)
        arrived = np.empty_like(observation)
        reward = np.empty(self.num_envs, np.float32)
        terminated = np.empty(self.num_envs, np.bool_)
        truncated = np.empty(self.num_envs, np.bool_)
        finished: list[FinishedEpisode] = []
        for i, seat in enumerate(self._seats):
            state, reward[i], terminated[i], truncated[i] = seat.step(int(actions[i]))
            arrived[i] = state
            if terminated[i] or truncated[i]:
                self._check_finite(i, state)
                finished.append(
                    FinishedEpisode(
                        env_steps=env_steps + i + 1,
                        env_index=i,
                        episode=seat.episode,
                        episode_return=seat.episode_return,
                        length=len(seat.actions),
                    )
                )
                state = seat.begin(seat.episode + 1)
            following[i] = state
        if not np.isfinite(following).all():
            for i in range(self.num_envs):
                self._check_finite(i, following[i])
        self.observation = following
        return VectorStep(observation, actions, reward, arrived, terminated, truncated), finished

    def logs(self) -> list[EnvironmentLog]:
        """Where each environment stands, enough to restore it."""
        return [seat.log() for seat in self._seats]

    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        """Bring every environment to where its log says.

        Returns:
            Indices of the environments that did not come out the same; each of those
            has begun its next episode instead.
        """
        different = []
        for i, (seat, log) in enumerate(zip(self._seats, logs, strict=True)):
            state = seat.begin(log.episode)
            ended = False
            for action in log.actions:
                if ended:
                    break
                state, _, terminated, truncated = seat.step(int(action))
                ended = terminated or truncated
            if ended or seat.log().digest != log.digest:
                different.append(i)
                state = seat.begin(log.episode + 1)
            self.observation[i] = state
        return different

    def _check_finite(self, index: int, observation: np.ndarray) -> None:
        wrong = np.flatnonzero(~np.isfinite(observation))
        if len(wrong):
            raise EnvironmentFailedError(
                f"{self._seats[index].place()} gave an observation that is not finite "
                f"(component {', '.join(map(str, wrong[:8]))} of {observation.size})"
            )

    def close(self) -> None:
        """Close every environment; one that fails to close does not stop the others."""
        for seat in self._seats:
            with contextlib.suppress(Exception):
                seat.env.close()


class FilmingEnvironment:
    """One environment that also gives its picture, apart from any that trains."""

    def __init__(self, spec: EnvironmentSpec) -> None:
        self._spec = spec
        self._env = make_environment(spec.env_id, spec.env_kwargs, render_mode="rgb_array")

    def reset(self, seed: int) -> Num[np.ndarray, "*obs"]:
        """First observation of the episode that belongs to a seed."""
        observation, _ = self._env.reset(seed=seed)
        return self._stored(observation)

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        """Take an action by its index; the observation, the reward, and whether it ended."""
        observation, reward, terminated, truncated, _ = self._env.step(
            self._spec.first_action + action
        )
        return self._stored(observation), float(reward), bool(terminated or truncated)

    def picture(self) -> np.ndarray:
        """What the environment looks like now: height × width × 3 bytes."""
        picture = self._env.render()
        if not isinstance(picture, np.ndarray):
            raise EnvironmentFailedError(
                f"{self._spec.env_id} draws no picture (its render gave {type(picture).__name__})"
            )
        return picture

    @property
    def frames_per_second(self) -> int:
        """The environment's own speed."""
        return int(self._env.metadata.get("render_fps", 30))

    def close(self) -> None:
        """Close the environment."""
        self._env.close()

    def _stored(self, observation: Any) -> np.ndarray:
        return self._spec.encode(observation).astype(self._spec.observation_dtype)
