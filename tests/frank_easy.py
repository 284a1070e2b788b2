"""Third-party environments as a user would bring them: found by `module:EnvId`."""

import os
import time

import gymnasium
import numpy as np
from gymnasium import spaces


class Easy(gymnasium.Env):
    """Every action ends the episode with reward 1."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2, start=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert action in (3, 4)
        return np.ones(2, np.float32), 1.0, True, False, {}


class Faulty(gymnasium.Env):
    """Fails in the way, and at the step of its first episode, that it is told to."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, fault: str, at: int = 30) -> None:
        self.fault, self.at, self.steps = fault, at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.at == 0:
            raise RuntimeError("no world")
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        observation, reward = np.full(2, 0.5, np.float32), 0.0
        if self.steps == self.at:
            if self.fault == "raise":
                raise RuntimeError("the motor is on fire")
            if self.fault == "nan_reward":
                reward = float("nan")
            if self.fault == "nan_observation":
                observation[1] = np.nan
        return observation, reward, False, False, {}


class Chance(Easy):
    """Every action ends the episode with a reward drawn between 1 and 2."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, 1 + self.np_random.random(), *rest


class Loud(Easy):
    """Prints whenever it is asked for something: a line, and more that is none."""

    def reset(self, *, seed=None, options=None):
        print("{}\n" + "x" * 99_999, end="", flush=True)
        return super().reset(seed=seed, options=options)


class Stuck(Easy):
    """Never comes back from a reset while there is a certain file."""

    def __init__(self, while_there: str) -> None:
        self.while_there = while_there

    def reset(self, *, seed=None, options=None):
        while os.path.exists(self.while_there):
            time.sleep(0.05)
        return super().reset(seed=seed, options=options)


class Breaks(gymnasium.Env):
    """Random states; while there is a certain file, it raises in its fourth episode."""

    observation_space = spaces.Box(0, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, while_there: str, where: str) -> None:
        self.while_there, self.where, self.episodes = while_there, where, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.episodes = 0, self.episodes + 1
        self._break("reset", 0)
        return self.np_random.random(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        self._break("step", 7)
        state = self.np_random.random(2, np.float32)
        return state, float(state[action]), False, self.steps == 20, {}

    def _break(self, where: str, steps: int) -> None:
        here = (where, steps, 4) == (self.where, self.steps, self.episodes)
        if here and os.path.exists(self.while_there):
            raise RuntimeError("it broke")


gymnasium.register("Breaks-v0", Breaks)
gymnasium.register("Stuck-v0", Stuck)
gymnasium.register("Loud-v0", Loud)
gymnasium.register("Chance-v0", Chance, reward_threshold=1.0)
gymnasium.register("Easy-v0", Easy, reward_threshold=1.0)
gymnasium.register("Faulty-v0", Faulty)
