"""Environments that misbehave: a clear error or right training, and no half transition stored."""

import threading
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

import frankrl
from frankrl.core.errors import FrankError
from frankrl.runs import list_checkpoints, load_checkpoint
from robustness.outcome import Outcome

_SETTINGS = {
    "preset": "default",
    "hidden_widths": (8,),
    "num_envs": 3,
    "n_step": 1,
    "learning_starts_env_steps": 30,
    "total_env_steps": 240,
    "checkpoint_every_env_steps": 3,
    "log_every_env_steps": 100,
    "evaluate_every_env_steps": 10_000,
    "final_evaluation_episodes": 1,
    "evaluation_max_episode_steps": 500,
}
_LONG_ENOUGH = 10**7


class Counting(gymnasium.Env):
    """Tells in each state its episode and step, and misbehaves in the way it is told to."""

    observation_space = spaces.Box(0, 1e9, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, fault: str, at: int = 40) -> None:
        self._fault, self._at = fault, at
        self._taken, self._episode, self._step = 0, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._episode, self._step = self._episode + 1, 0
        if self._fault == "raises in reset" and self._episode == 3:
            raise ValueError("no more worlds")
        return self._state(), {}

    def step(self, action) -> Any:
        self._taken += 1
        self._step += 1
        state: Any = self._state()
        reward: Any = 1.0
        length = {"episodes of one step": 1, "never ends": 10**9}.get(self._fault, 12)
        terminated: Any = self._step >= length
        if self._taken == self._at:
            if self._fault == "raises":
                raise KeyError("motor")
            if self._fault == "raises what is no Exception":
                raise SystemExit(3)
            state = {
                "wrong shape": np.zeros(3, np.float32),
                "a word for a state": "s",
                "nothing for a state": None,
                "a ragged state": [1.0, [2.0]],
            }.get(self._fault, state)
            reward = {"nothing for a reward": None, "a list for a reward": [1.0, 2.0]}.get(
                self._fault, reward
            )
        if self._taken == self._at and self._fault == "four values":
            return state, reward, terminated, {}
        return state, reward, terminated, False, {}

    def close(self) -> None:
        if self._fault == "hangs in close":
            threading.Event().wait()
        if self._fault == "raises in close":
            raise RuntimeError("the door is locked")

    def _state(self) -> np.ndarray:
        return np.array([self._episode, self._step], np.float32)


gymnasium.register("frank-robustness/Counting-v0", "robustness.environments:Counting")

FAULTS = {
    "raises": "raised KeyError",
    "raises in reset": "raised ValueError",
    "raises what is no Exception": "raised SystemExit",
    "wrong shape": "shape",
    "a word for a state": "environment",
    "nothing for a state": "environment",
    "a ragged state": "environment",
    "nothing for a reward": "environment",
    "a list for a reward": "environment",
    "four values": "environment",
    "episodes of one step": "",
    "never ends": "",
    "raises in close": "",
    "hangs in close": "",
}
"""What is wrong, and words of the error; none where training is right all the same."""


def study(work: Path, faults: dict[str, str] = FAULTS) -> Outcome:
    """Train on each of them.

    Args:
        work: a folder for the runs.
        faults: which.
    """
    outcome = Outcome(
        "environments",
        "misbehaving environments: a clear error or right training, whole transitions",
    )
    for number, (fault, words) in enumerate(faults.items()):
        out = work / f"environment-{number}"
        told = ""
        try:
            frankrl.train(
                "frank-robustness/Counting-v0", env_kwargs={"fault": fault}, out=out, **_SETTINGS
            )
        except FrankError as error:
            told = str(error)
        except (Exception, SystemExit) as error:
            outcome.note(False, f"{fault}: {type(error).__name__}: {error}")
            continue
        right = (words in told and "environment" in told) if words else not told
        outcome.note(right and _all_whole(out), f"{fault}: {told or 'no error'}")
    return outcome


def _all_whole(out: Path) -> bool:
    """Whether every stored transition leads from one step of an episode to the next."""
    newest = list_checkpoints(out / "checkpoints")[-1]
    stored = load_checkpoint(newest, {"replay": _LONG_ENOUGH}).tensors["replay"]
    ending = stored[".steps.ending"].astype(int)
    seen = [stored[f".{part}.observation"] for part in ("steps", "current", "endings")]
    observation = np.concatenate(seen)
    num_envs, num_steps = _SETTINGS["num_envs"], len(ending)
    # First what was seen at each step, and is seen now; then how each episode ended, from 1 on.
    follows = np.where(ending, num_steps + num_envs - 1 + ending, np.arange(num_steps) + num_envs)
    before, after = observation[:num_steps], observation[follows]
    return (
        num_steps > 0
        and bool((before[:, 0] == after[:, 0]).all())
        and bool((before[:, 1] + 1 == after[:, 1]).all())
        and bool((stored[".steps.reward"] == 1).all())
    )
