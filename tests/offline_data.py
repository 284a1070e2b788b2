"""Small data sets for tests, in folders."""

from pathlib import Path

import gymnasium
import numpy as np

import frankrl  # noqa: F401 - registers the nine squares
from frankrl.datasets import DataEpisode, DataSetDescription, write_dataset
from frankrl.environments.nine_squares import ORDINARY, transitions

SQUARES = "frankrl/NineSquares-v0"


def write(name: str, folder: Path, env_id: str, episodes, **others) -> Path:
    """A data set of an environment's own spaces, unless others are given."""
    env = gymnasium.make(env_id)
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    return write_dataset(
        name, folder, DataSetDescription(**(spaces | others), env_id=env_id), episodes
    )


def random_episodes(env_id: str, count: int, seed: int = 0) -> list[DataEpisode]:
    """Episodes of random actions."""
    env, random, found = gymnasium.make(env_id), np.random.default_rng(seed), []
    for number in range(count):
        observation, _ = env.reset(seed=number)
        seen, actions, rewards, ended = [observation], [], [], (False, False)
        while not any(ended):
            actions.append(int(random.integers(env.action_space.n)) + int(env.action_space.start))
            observation, reward, *ended, _ = env.step(actions[-1])
            seen.append(observation)
            rewards.append(float(reward))
        found.append(
            DataEpisode(
                np.array(seen), np.array(actions, np.int64), np.array(rewards), *ended, seed=number
            )
        )
    return found


def every_square(tmp: Path) -> Path:
    """Each action of each square once, as an episode that is truncated unless it terminates."""
    outcomes = transitions()
    episodes = []
    for square in ORDINARY:
        for action in range(4):
            ((_, then, reward, terminated),) = outcomes[square][action]
            episodes.append(
                DataEpisode(
                    np.array([square, then], np.int64),
                    np.array([action], np.int64),
                    np.array([reward]),
                    terminated,
                    not terminated,
                )
            )
    return write("squares/all-v0", tmp, SQUARES, episodes)
