"""Environments as people bring them, each with one habit that not every library is ready for."""

import atexit
import ctypes
import os
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

WORDS_AT_IMPORT, WORDS_AT_EXIT = "odd words at import", "odd words at exit"


class Odd(gymnasium.Env):
    """Counts its steps; an episode terminates after four, and each step pays 1."""

    observation_space: spaces.Space = spaces.Box(0, 9, (2,), np.float32)
    action_space = spaces.Discrete(2)
    length = 4

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return self._state(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self._state(), 1.0, self.steps >= self.length, False, {}

    def _state(self) -> Any:
        return np.array([self.steps, 0], np.float32)


class SmallSeed(Odd):
    """Puts its seed into an integer of 32 bits with a sign."""

    def reset(self, *, seed=None, options=None):
        np.int32(seed)
        return super().reset(seed=seed, options=options)


class OnlyOne(Odd):
    """Binds something of which there is one, when it is made or when it is first reset."""

    there = 0

    def __init__(self, binds_at: str = "init") -> None:
        self.binds_at, self.bound = binds_at, False
        if binds_at == "init":
            self._bind()

    def reset(self, *, seed=None, options=None):
        self._bind()
        self.drawn = np.random.default_rng(seed).integers(0, 5)
        return super().reset(seed=seed, options=options)

    def step(self, action):
        state, reward, terminated, *rest = super().step(action)
        return state, reward if action else 0.5, terminated, *rest

    def close(self) -> None:
        OnlyOne.there -= self.bound
        self.bound = False

    def _bind(self) -> None:
        if not self.bound and OnlyOne.there:
            raise OSError(98, "Address already in use")
        OnlyOne.there += not self.bound
        self.bound = True

    def _state(self):
        return np.array([self.steps, getattr(self, "drawn", 0)], np.float32)


class Remembering(Odd):
    """Keeps something from one episode to the next: its reward grows with every reset."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        return super().reset(seed=seed, options=options)

    def step(self, action):
        state, _, *rest = super().step(action)
        return state, float(self.resets), *rest


class Endless(Odd):
    """Never ends an episode."""

    length = 10**9


class Wanderer(Odd):
    """Changes the working directory."""

    def __init__(self, to: str) -> None:
        os.chdir(to)


class Talker(Odd):
    """Prints whenever it is asked for something, from Python, from C and to the descriptor."""

    def reset(self, *, seed=None, options=None):
        print("odd words of Python")
        ctypes.CDLL(None).puts(b"odd words of C")
        os.write(1, b"odd words to the descriptor\n")
        return super().reset(seed=seed, options=options)


class PixelAnswer(Odd):
    """One step; one pixel of its picture shows which action pays 1 rather than -1."""

    observation_space = spaces.Dict(
        image=spaces.Box(0, 255, (8, 8, 1), np.uint8), vector=spaces.Box(-1, 1, (2,), np.float32)
    )
    length = 1

    def reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.answer = int(self.np_random.integers(2))
        return super().reset(options=options)

    def step(self, action):
        state, _, *rest = super().step(action)
        return state, 1.0 if action == self.answer else -1.0, *rest

    def _state(self):
        image = np.zeros((8, 8, 1), np.uint8)
        image[3, 4, 0] = 255 * self.answer
        return {"image": image, "vector": np.zeros(2)}


class Returning(Odd):
    """Returns from one of its methods what it is told to."""

    def __init__(self, method: str, value: Any) -> None:
        self.method, self.value = method, value

    def reset(self, *, seed=None, options=None):
        found = super().reset(seed=seed, options=options)
        return self.value if self.method == "reset" else found

    def step(self, action):
        state, reward, *rest = super().step(action)
        if self.method == "reward":
            return state, self.value, *rest
        if self.method == "terminated":
            return state, reward, self.value, False, {}
        return self.value if self.method == "step" else (state, reward, *rest)


class NoPictures(Odd):
    """Insists on not being rendered."""

    def __init__(self, render_mode: str | None = None) -> None:
        assert render_mode is None


class NeedsPackage(Odd):
    """Lacks a package, and says so as Gymnasium's own environments do."""

    def __init__(self) -> None:
        raise gymnasium.error.DependencyNotInstalled(
            'pygame is not installed, run `pip install "gymnasium[box2d]"`'
        )


def normalised(wrapper: str = "NormalizeReward") -> gymnasium.Env:
    """An environment in a wrapper with running statistics."""
    return getattr(gymnasium.wrappers, wrapper)(Odd())


for kind in (
    *(SmallSeed, OnlyOne, Remembering, Endless, Wanderer, Talker, PixelAnswer, Returning),
    *(NoPictures, NeedsPackage),
):
    gymnasium.register(f"Odd{kind.__name__}-v0", kind)
gymnasium.register("OddLimited-v0", Returning, max_episode_steps=100)
gymnasium.register("OddNormalised-v0", normalised)
if os.environ.get("ODD_WORDS"):
    print(WORDS_AT_IMPORT, flush=True)
    atexit.register(print, WORDS_AT_EXIT, flush=True)
