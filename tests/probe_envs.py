"""Environments so small that everything they should give is known beforehand."""

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

OBSERVATION_SPACES = {
    "float64": spaces.Box(-1, 1, (3,), np.float64),
    "int64": spaces.Box(-5, 5, (2,), np.int64),
    "bytes": spaces.Box(0, 255, (2, 3), np.uint8),
    "small_picture": spaces.Box(0, 255, (2, 2), np.uint8),
    "small_bytes": spaces.Box(0, 7, (4,), np.uint8),
    "screen": spaces.Box(0, 255, (84, 84), np.uint8),
    "matrix": spaces.Box(-1, 1, (2, 3), np.float32),
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "discrete": spaces.Discrete(4, start=-1),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "tuple": spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32))),
    "dict": spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float64), "b": spaces.Discrete(3)}),
    "nested": spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (2, 2, 3), np.uint8),
            "inner": spaces.Dict(
                {"speed": spaces.Box(-1, 1, (2,), np.float64), "bits": spaces.MultiBinary(3)}
            ),
            "cards": spaces.Tuple((spaces.Discrete(4, start=1), spaces.MultiDiscrete([2, 3]))),
        }
    ),
    "sequence": spaces.Sequence(spaces.Discrete(2)),
    "graph": spaces.Graph(spaces.Discrete(2), None),
}
ACTION_SPACES = {
    "two": spaces.Discrete(2),
    "from_five": spaces.Discrete(3, start=5),
    "continuous": spaces.Box(-1, 1, (1,), np.float32),
    "multi_discrete": spaces.MultiDiscrete([2, 2]),
    "too_many": spaces.Discrete(70_000),
}


class SpaceProbe(gymnasium.Env):
    """Gives samples of an observation space; its reward is the action that it received."""

    def __init__(self, observation: str = "float64", action: str = "two", render_mode=None) -> None:
        self.observation_space = copy.deepcopy(OBSERVATION_SPACES[observation])
        self.action_space = ACTION_SPACES[action]

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), float(action), False, False, {}


class CountingProbe(gymnasium.Env):
    """Observation: (steps since reset, low part of the reset's seed); reward: the step's number.

    Action 1 ends the episode, otherwise it is truncated after `limit` steps. With
    `drift`, observations tell how often this object was reset: a replay cannot match.
    """

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, limit: int = 4, drift: bool = False, render_mode=None) -> None:
        self._limit, self._drift, self._resets = limit, drift, 0

    def _observation(self) -> np.ndarray:
        drift = self._resets / 10 if self._drift else 0
        return np.array([self._steps + drift, self._seed % 65_536], np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps, self._seed = 0, seed
        self._resets += 1
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        truncated = self._steps >= self._limit
        return self._observation(), float(self._steps), action == 1, truncated, {}


class FaultyProbe(CountingProbe):
    """Does something impossible at step `step` of an episode; 0 is the reset."""

    def __init__(self, fault: str, step: int = 2, render_mode=None) -> None:
        super().__init__(limit=100)
        self._fault, self._at = fault, step

    def _spoiled(self, observation: np.ndarray) -> Any:
        if self._steps != self._at:
            return observation
        if self._fault == "raise":
            raise RuntimeError("the physics\nexploded")
        if self._fault == "shape":
            return np.zeros(3, np.float32)
        if self._fault in ("nan", "inf"):
            observation[1] = float(self._fault)
        if self._fault == "ragged":
            return [[1.0], [1.0, 2.0]]
        return observation

    def reset(self, **kwargs: Any) -> tuple[Any, dict]:
        observation, info = super().reset(**kwargs)
        return self._spoiled(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        observation, reward, *rest = super().step(action)
        rewards = {"nan_reward": np.nan, "huge_reward": 1e39, "no_reward": None}
        if self._steps == self._at:
            reward = rewards.get(self._fault, reward)
        return self._spoiled(observation), reward, *rest

    def close(self) -> None:
        if self._fault == "close":
            raise RuntimeError("will not close")


class SeedProbe(CountingProbe):
    """Episode of 1 + seed mod 5 steps; each pays 1, or −1 for action 1. Returns are known."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        reward = -1.0 if action == 1 else 1.0
        return self._observation(), reward, self._steps == episode_length(self._seed), False, {}


def episode_length(seed: int) -> int:
    """Length of `SeedProbe`'s episode after a reset with this seed. [env steps]"""
    return 1 + seed % 5


class PlainProbe(SpaceProbe):
    """Takes no arguments at all, `render_mode` neither."""

    def __init__(self) -> None:
        super().__init__()


gymnasium.register("FrankSpace-v0", SpaceProbe)
gymnasium.register("FrankPlain-v0", PlainProbe)
gymnasium.register("FrankCounting-v0", CountingProbe, reward_threshold=9.0)
gymnasium.register("FrankFaulty-v0", FaultyProbe)
gymnasium.register("FrankSeed-v0", SeedProbe)
