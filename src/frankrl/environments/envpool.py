"""EnvPool's environments: Gymnasium's classics written again in C++, stepped in one call.

Source: Weng et al. (2022). https://arxiv.org/abs/2206.10558
"""

import hashlib
import platform
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Int, Num

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import (
    EnvironmentFailedError,
    EnvironmentUnusableError,
    MissingExtraError,
    RunFolderError,
    nearest,
)
from frankrl.core.random import Use, reset_seed
from frankrl.core.types import ACTION_DTYPE, FinishedEpisode, VectorStep
from frankrl.environments.spec import MAX_ACTIONS, EnvironmentSpec
from frankrl.environments.vector import (
    DIGEST_BYTES,
    EnvironmentLog,
    EnvironmentVector,
    check_logs,
)

_ALL_RESET = MAX_ACTIONS
"""In a log, where an action would be: all environments were reset."""


class EnvPoolVector(EnvironmentVector):
    """EnvPool's environments behind the interface of Gymnasium's.

    Each environment has one seed for the whole run, and its episodes follow from it: a
    log therefore holds all actions since the run began, and restoring does them again.
    Left to itself, EnvPool spends a step on every reset and returns a transition that
    is none; here an episode that has ended is reset in the same step. An end on the very
    step of the time limit is a truncation for EnvPool, whatever its cause.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int) -> None:
        """Make the environments and reset each to its first episode.

        Raises:
            EnvironmentUnusableError: EnvPool has no such environment, or another one of
                the same name.
            MissingExtraError: EnvPool is not installed.
        """
        self.spec = spec
        self.num_envs = num_envs
        self._seed = seed
        self._pool: Any = None
        self._begin()

    def _begin(self) -> None:
        self.close()
        self._pool = _make_pool(self.spec, self.num_envs, self._seed)
        self._episodes = np.zeros(self.num_envs, np.int64)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._actions: list[np.ndarray] = []
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)
        observation, _ = self._pool.reset()
        self.observation = self._checked(observation)
        self._hash.update(self.observation.tobytes())

    def step(
        self, actions: Int[np.ndarray, " env"], env_steps: int
    ) -> tuple[VectorStep, list[FinishedEpisode]]:
        self._lengths += 1
        self._actions.append(actions.astype(ACTION_DTYPE))
        observation = self.observation
        arrived, reward, terminated, truncated, _ = self._pool.step(
            (actions + self.spec.first_action).astype(np.int32)
        )
        arrived = self._checked(arrived)
        if not np.isfinite(reward).all():
            index = int(np.flatnonzero(~np.isfinite(reward))[0])
            raise EnvironmentFailedError(f"{self._place(index)} gave the reward {reward[index]}")
        self._returns += reward
        finished, following = [], arrived
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            finished = [self._finished(int(index), env_steps) for index in ended]
            first, _ = self._pool.reset(ended.astype(np.int32))
            following = arrived.copy()
            following[ended] = self._checked(first)
            self._episodes[ended] += 1
            self._returns[ended] = 0
            self._lengths[ended] = 0
        self.observation = following
        for array in (self._actions[-1], arrived, reward, terminated, following):
            self._hash.update(array.tobytes())
        reward = reward.astype(np.float32)
        return VectorStep(observation, actions, reward, arrived, terminated, truncated), finished

    def logs(self) -> list[EnvironmentLog]:
        taken = np.stack(self._actions) if self._actions else np.zeros((0, self.num_envs))
        return [
            EnvironmentLog(int(episode), column.astype(ACTION_DTYPE), self._hash.digest())
            for episode, column in zip(self._episodes, taken.T, strict=True)
        ]

    def restore(self, logs: list[EnvironmentLog]) -> list[int]:
        self._begin()
        check_logs(logs, self.spec, also=_ALL_RESET)
        if len({len(log.actions) for log in logs}) > 1:
            raise RunFolderError("the checkpoint's log of actions is not one of EnvPool's")
        for actions in np.stack([log.actions for log in logs]).T:
            if actions[0] == _ALL_RESET:
                self._reset_all()
            else:
                self.step(actions.astype(np.int64), 0)
        if self._hash.digest() == logs[0].digest:
            return []
        self._reset_all()
        return list(range(self.num_envs))

    def _reset_all(self) -> None:
        """Let every environment begin its next episode, and note that in the log."""
        self._actions.append(np.full(self.num_envs, _ALL_RESET, ACTION_DTYPE))
        observation, _ = self._pool.reset(np.arange(self.num_envs, dtype=np.int32))
        self.observation = self._checked(observation)
        self._hash.update(self.observation.tobytes())
        self._episodes += 1
        self._returns[:], self._lengths[:] = 0, 0

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _finished(self, index: int, env_steps: int) -> FinishedEpisode:
        return FinishedEpisode(
            env_steps=env_steps + index + 1,
            env_index=index,
            episode=int(self._episodes[index]),
            episode_return=float(self._returns[index]),
            length=int(self._lengths[index]),
        )

    def _checked(self, given: Num[np.ndarray, "env *leaf"]) -> Num[np.ndarray, "env *leaf"]:
        """The observations as they are stored; EnvPool may write into its own again."""
        rows = np.array(given, self.spec.row_dtype)
        if rows.dtype == np.float32 and not np.isfinite(rows).all():
            wrong = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
            place = self._place(int(np.flatnonzero(wrong)[0]))
            raise EnvironmentFailedError(f"{place} gave an observation that is not finite")
        return rows

    def _place(self, index: int) -> str:
        return (
            f"environment {index} ({self.spec.env_id} of EnvPool), episode "
            f"{self._episodes[index]}, step {self._lengths[index]}"
        )


def _make_pool(spec: EnvironmentSpec, num_envs: int, seed: int) -> Any:
    """EnvPool's environments, if they are what the specification says."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise EnvironmentUnusableError(
            "EnvPool is made for Linux on x86-64 only; use backend gymnasium"
        )
    try:
        import envpool
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "envpool":
            raise MissingExtraError("backend envpool", "envpool", "envpool") from error
        raise EnvironmentUnusableError(
            f"EnvPool cannot be imported: {error}; use backend gymnasium"
        ) from error
    if spec.env_kwargs:
        raise EnvironmentUnusableError(
            f"backend envpool takes no env_kwargs, got {dict(spec.env_kwargs)}; "
            "use backend gymnasium for them"
        )
    if spec.is_masked or not isinstance(spec.observation_space, spaces.Box):
        raise EnvironmentUnusableError(
            f"backend envpool takes environments with observations from a Box and no action "
            f"masks, {spec.env_id} is none; use backend gymnasium"
        )
    known = envpool.list_all_envs()
    if spec.env_id not in known:
        raise EnvironmentUnusableError(
            f"EnvPool has no environment {spec.env_id!r}{nearest(spec.env_id, known)}; "
            "use backend gymnasium"
        )
    original = gymnasium.spec(spec.env_id)
    limit = original.max_episode_steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = envpool.make(
            spec.env_id,
            env_type="gymnasium",
            num_envs=num_envs,
            num_threads=max(1, min(num_envs, visible_cpus() - 1)),
            seed=[reset_seed(seed, Use.TRAINING_RESET, index, 0) for index in range(num_envs)],
            **({} if limit is None else {"max_episode_steps": limit}),
        )
        actions, shape = pool.action_space.n, pool.observation_space.shape
    if (actions, shape) != (spec.num_actions, spec.row_shape):
        raise EnvironmentUnusableError(
            f"EnvPool's {spec.env_id} has {actions} actions and observations of shape {shape}, "
            f"Gymnasium's {spec.num_actions} and {spec.row_shape}; use backend gymnasium"
        )
    return pool
