"""EnvPool's environments: Gymnasium's classics in C++, stepped in one call.

Source: Weng et al. (2022). https://arxiv.org/abs/2206.10558
"""

import platform
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Int, Int32, Num

from frankrl.core.backend import visible_cpus
from frankrl.core.errors import (
    EnvironmentFailedError,
    EnvironmentUnusableError,
    MissingExtraError,
)
from frankrl.core.random import Use, reset_seed
from frankrl.environments.single import tried_hint
from frankrl.environments.spec import EnvironmentSpec
from frankrl.environments.vector import EnvironmentVector, EnvSteps

EPISODES_AHEAD = 16
"""Number of episodes that each environment of a run can play before a new pool is made."""


class EnvPoolVector(EnvironmentVector):
    """EnvPool's environments with the interface of Gymnasium's.

    EnvPool takes seeds only when a pool is made. To give every episode a seed of its own, a pool
    holds one environment for each of the next episodes of each environment of the run. Each is
    reset once; idle ones cost nothing. The pool in which an episode is played does not affect it.

    By default EnvPool spends a step on every reset and returns an invalid transition for it. Here
    the next episode begins in the same step in which the last one ended. If an episode terminates
    at the step of the time limit, EnvPool reports a truncation.
    """

    def __init__(self, spec: EnvironmentSpec, num_envs: int, seed: int, first: int = 0) -> None:
        """Make the environments and begin the first episode of each.

        Args:
            spec: the environment.
            num_envs: number of environments.
            seed: the run's seed.
            first: index in the run of the first of them.

        Raises:
            EnvironmentUnusableError: EnvPool has no such environment, or a different one with
                the same name.
            MissingExtraError: EnvPool is not installed.
        """
        super().__init__(spec, num_envs, seed, first)
        self._pools: list[_Pool] = []
        """The last pool is the newest; the others have running episodes."""
        self._pool_of = np.zeros(num_envs, np.int64)
        """Index in `_pools` for each environment of the run."""
        self._id_of = np.zeros(num_envs, np.int32)
        """Number in that pool for each environment of the run."""
        self._start()

    def _reset_envs(self, indices: list[int], episodes: list[int]) -> Num[np.ndarray, "some *leaf"]:
        chosen, numbers = np.array(indices), np.array(episodes)
        if not self._pools or not self._pools[-1].has(chosen, numbers):
            following = np.array([record.episode + 1 for record in self._records])
            following[chosen] = numbers
            self._pools.append(_Pool(self.spec, self._seed, following, self.first))
        rows, self._id_of[chosen] = self._pools[-1].reset(chosen, numbers)
        self._pool_of[chosen] = len(self._pools) - 1
        self._close_unused()
        return self._checked(indices, rows)

    def _step_envs(self, indices: list[int], actions: list[int]) -> EnvSteps:
        given = np.array(actions, np.int32) + np.int32(self.spec.first_action)
        rows, reward, terminated, truncated = self._step_pools(np.array(indices), given)
        if np.count_nonzero(np.isfinite(reward)) != len(reward):
            place = int(np.flatnonzero(~np.isfinite(reward))[0])
            raise EnvironmentFailedError(
                f"{self._place(indices[place])} gave the reward {reward[place]}"
            )
        rows = self._checked(indices, rows)
        no_life_lost = np.zeros(len(indices), np.bool_)
        row_hashes = [self.spec.row_hash(row) for row in rows]
        reward = reward.astype(np.float64)
        return EnvSteps(rows, reward, terminated, truncated, no_life_lost, row_hashes)

    def _step_pools(
        self, indices: Int[np.ndarray, " some"], given: Int32[np.ndarray, " some"]
    ) -> tuple[np.ndarray, ...]:
        """Step some environments; returns EnvPool's observation, reward, terminated, truncated."""
        if len(self._pools) == 1:
            return self._pools[0].envs.step(given, self._id_of[indices])[:4]
        places = [np.flatnonzero(self._pool_of[indices] == n) for n in range(len(self._pools))]
        asked = [part for part in zip(self._pools, places, strict=True) if len(part[1])]
        for pool, some in asked:
            pool.envs.send(given[some], self._id_of[indices[some]])
        answers = [pool.envs.recv()[:4] for pool, _ in asked]
        order = np.argsort(np.concatenate(places))
        return tuple(np.concatenate(field)[order] for field in zip(*answers, strict=True))

    def _close_unused(self) -> None:
        """Close all pools without running episodes, except the newest."""
        if len(self._pools) == 1:
            return
        used = np.union1d(self._pool_of, len(self._pools) - 1)
        for n in set(range(len(self._pools))) - set(used.tolist()):
            self._pools[n].envs.close()
        self._pools = [self._pools[n] for n in used]
        self._pool_of = np.searchsorted(used, self._pool_of)

    def close(self) -> None:
        """See `EnvironmentVector.close`."""
        for pool in self._pools:
            pool.envs.close()
        self._pools = []

    def _checked(
        self, indices: list[int], given: Num[np.ndarray, "some *leaf"]
    ) -> Num[np.ndarray, "some *leaf"]:
        """A checked copy of observations; EnvPool may overwrite its own arrays."""
        rows = np.array(given, self.spec.row_dtype)
        if rows.dtype == np.float32 and np.count_nonzero(np.isfinite(rows)) != rows.size:
            wrong = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
            place = self._place(indices[int(np.flatnonzero(wrong)[0])])
            raise EnvironmentFailedError(f"{place} gave an observation that is not finite")
        return rows

    def _place(self, index: int) -> str:
        record = self._records[index]
        return (
            f"environment {record.index} ({self.spec.env_id} of EnvPool), episode "
            f"{record.episode}, step {len(record.actions) + 1}"
        )


class _Pool:
    """EnvPool's environments for the next episodes of every environment of a vector."""

    def __init__(
        self,
        spec: EnvironmentSpec,
        seed: int,
        first: Int[np.ndarray, " env"],
        first_env: int,
    ) -> None:
        """Make the environments.

        Args:
            spec: the environment.
            seed: the run's seed.
            first: first episode of each environment for which the pool has one.
            first_env: index in the run of the first of these environments.
        """
        self._first, self._unused = first, first.copy()
        seeds = [
            reset_seed(seed, Use.TRAINING_RESET, first_env + index, int(episode) + ahead)
            for index, episode in enumerate(first)
            for ahead in range(EPISODES_AHEAD)
        ]
        self.envs = _make_pool(spec, seeds, most_at_once=len(first))

    def has(self, indices: Int[np.ndarray, " some"], episodes: Int[np.ndarray, " some"]) -> bool:
        """Whether the pool has unused environments for all of these episodes."""
        unused, first = self._unused[indices], self._first[indices]
        return bool(((episodes >= unused) & (episodes < first + EPISODES_AHEAD)).all())

    def reset(
        self, indices: Int[np.ndarray, " some"], episodes: Int[np.ndarray, " some"]
    ) -> tuple[Num[np.ndarray, "some *leaf"], Int32[np.ndarray, " some"]]:
        """Begin episodes; returns the first observations and EnvPool's environment numbers."""
        ids = indices * EPISODES_AHEAD + episodes - self._first[indices]
        self._unused[indices] = episodes + 1
        ids = ids.astype(np.int32)
        return self.envs.reset(ids)[0], ids


def _make_pool(spec: EnvironmentSpec, seeds: list[int], most_at_once: int) -> Any:
    """EnvPool's environments; refused if they differ from Gymnasium's."""
    envpool = _imported()
    _refuse_what_it_lacks(spec)
    known = envpool.list_all_envs()
    if spec.env_id not in known:
        # A name that Gymnasium does not know as well would be refused by it.
        hint = tried_hint(spec.env_id, {}, sorted(set(known) & set(gymnasium.registry)))
        raise EnvironmentUnusableError(
            f"EnvPool has no environment {spec.env_id!r}{hint}; use backend gymnasium"
        )
    original = gymnasium.spec(spec.env_id)
    limit = original.max_episode_steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = envpool.make(
            spec.env_id,
            env_type="gymnasium",
            num_envs=len(seeds),
            num_threads=max(1, min(most_at_once, visible_cpus() - 1)),
            seed=seeds,
            **({} if limit is None else {"max_episode_steps": limit}),
        )
        actions, shape = pool.action_space.n, pool.observation_space.shape
    if (actions, shape) != (spec.num_actions, spec.row_shape):
        raise EnvironmentUnusableError(
            f"EnvPool's {spec.env_id} has {actions} actions and observations of shape {shape}, "
            f"Gymnasium's {spec.num_actions} and {spec.row_shape}; use backend gymnasium"
        )
    return pool


def _imported() -> Any:
    """EnvPool's module.

    Raises:
        EnvironmentUnusableError: it is not made for this machine, or cannot be imported.
        MissingExtraError: it is not installed.
    """
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
    return envpool


def _refuse_what_it_lacks(spec: EnvironmentSpec) -> None:
    """Refuse an environment of a kind that EnvPool cannot make as Gymnasium does.

    Raises:
        EnvironmentUnusableError: it is one.
    """
    if spec.preprocessing.atari is not None:
        raise EnvironmentUnusableError(
            "backend envpool takes no Atari games: EnvPool takes a seed only when an environment "
            "is made, and would load the game anew for each episode, 0.1 s; use backend gymnasium"
        )
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
