"""A data set of random episodes on the nine squares."""

from pathlib import Path

import gymnasium
import numpy as np

from frankrl.datasets import DataEpisode, DataSetDescription, write_dataset

SQUARES = "frankrl/NineSquares-v0"


def random_episodes(number, probabilities=(0.25, 0.25, 0.25, 0.25)):
    """Episodes of at most twelve steps, whose actions have these probabilities."""
    env = gymnasium.make(SQUARES, max_episode_steps=12)
    random = np.random.default_rng(0)
    for seed in range(number):
        squares, actions, rewards, over = [env.reset(seed=seed)[0]], [], [], (False, False)
        while not any(over):
            actions.append(int(random.choice(4, p=probabilities)))
            square, reward, *over, _ = env.step(actions[-1])
            squares.append(square)
            rewards.append(reward)
        yield DataEpisode(np.array(squares), np.array(actions), np.array(rewards), *over)


def write_squares(place: Path, number: int, probabilities=(0.25, 0.25, 0.25, 0.25)) -> Path:
    """Write them; returns the folder of the data set."""
    env = gymnasium.make(SQUARES)
    about = DataSetDescription(env.observation_space, env.action_space, SQUARES)
    return write_dataset("squares/random-v0", place, about, random_episodes(number, probabilities))
