"""Where a transition came from: which environment, episode and step, explored or greedy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt32

from frankrl.config import Settings
from frankrl.experience.exploration import exploration_draws, explores, linear_epsilon
from frankrl.runs import MetricsReader, RunFolder


class Origin(NamedTuple):
    """The origin of one transition."""

    env_step: int
    """Env step of the run at which the transition begins, from 0."""
    env_index: int
    episode: int
    """Number of the episode in its environment, from 0."""
    step: int
    """Step of the episode, from 1."""
    epsilon: float
    """ε at that env step."""
    explored: bool
    """Whether the action was random rather than greedy."""


def origins(
    folder: RunFolder, settings: Settings, seed: int, env_steps: UInt32[np.ndarray, " row"]
) -> list[Origin]:
    """The origins of some transitions.

    Args:
        folder: the run; its metrics record when episodes ended.
        settings: the run's settings.
        seed: the run's seed.
        env_steps: env step at which each transition begins.
    """
    num_envs = settings.environment.num_envs
    reader = MetricsReader(folder.metrics)
    try:
        ended = reader.columns("episodes")
    finally:
        reader.close()
    return [_origin(settings, seed, int(number), num_envs, ended) for number in env_steps]


def _origin(
    settings: Settings, seed: int, number: int, num_envs: int, ended: dict[str, np.ndarray]
) -> Origin:
    env_index, vector_step = number % num_envs, number // num_envs
    coins, _ = exploration_draws(seed, number, 1)
    epsilon = linear_epsilon(settings.exploration, np.array([number]))
    own = ended["env_index"] == env_index if len(ended["env_index"]) else np.zeros(0, bool)
    # An episode's row names the env step after its last transition.
    last_steps = (ended["env_steps"][own] - 1).astype(np.int64) // num_envs
    at = int(np.searchsorted(last_steps, vector_step))
    if at < len(last_steps):
        episode, length = int(ended["episode"][own][at]), int(ended["length"][own][at])
        step = length - int(last_steps[at] - vector_step)
    else:
        episode = int(ended["episode"][own][-1]) + 1 if at else 0
        step = vector_step - (int(last_steps[-1]) if at else -1)
    explored = bool(explores(epsilon, coins)[0])
    return Origin(number, env_index, episode, step, float(epsilon[0]), explored)
