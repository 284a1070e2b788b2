"""Where a transition came from: which environment, episode and step, explored or greedy."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt32

from frankrl.config import Settings
from frankrl.core.device_random import seed_words
from frankrl.experience.device import acting_draws
from frankrl.experience.exploration import (
    epsilon_ladder,
    exploration_draws,
    explores,
    linear_epsilon,
)
from frankrl.explaining.reopen import Reopened
from frankrl.runs import MetricsReader, RunFolder, StepTakers


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


class TransitionInData(NamedTuple):
    """The origin of one transition of a data set."""

    data_step: int
    """Step of the data set at which the transition begins, from 0."""
    episode: int
    """Number of the episode in the data set, from 0."""
    step: int
    """Step of the episode, from 1."""


def batch_origins(folder: RunFolder, reopened: Reopened) -> list[Origin | TransitionInData]:
    """The origins of the transitions of an update.

    Args:
        folder: the run; its metrics record when episodes ended.
        reopened: the update.
    """
    description, begins = folder.description, reopened.record.transition_env_steps
    own, of_data = begins, begins[:0]
    if reopened.data_endings is not None:
        own, of_data = np.split(begins, [_num_own(reopened)])
    found: list[Origin | TransitionInData] = []
    if len(own):
        found += origins(folder, description.settings, description.seed, own)
    return found + [_of_data(int(step), reopened.data_endings) for step in of_data]


def _num_own(reopened: Reopened) -> int:
    """Rows of an update that are of the run's own steps; with memory, a sequence has several."""
    record = reopened.record
    if record.sequences is not None:
        own = len(record.sequences.is_shown) - reopened.data_rows
        return int((record.sequences.sequence < own).sum())
    return len(record.losses) - reopened.data_rows


def _of_data(data_step: int, endings: Int[np.ndarray, " episode"] | None) -> TransitionInData:
    """The origin of a transition in a data set whose episodes end with these steps."""
    assert endings is not None, "the update learned from a data set"
    episode = int(np.searchsorted(endings, data_step))
    first = int(endings[episode - 1]) + 1 if episode else 0
    return TransitionInData(data_step, episode, data_step - first + 1)


def origins(
    folder: RunFolder, settings: Settings, seed: int, env_steps: UInt32[np.ndarray, " row"]
) -> list[Origin]:
    """The origins of some transitions that the run collected.

    Args:
        folder: the run; its metrics record when episodes ended.
        settings: the run's settings.
        seed: the run's seed.
        env_steps: env step at which each transition begins.
    """
    reader = MetricsReader(folder.metrics)
    try:
        ended, takers = reader.columns("episodes"), StepTakers.of(settings, reader)
    finally:
        reader.close()
    # An episode's row names the env step after its last transition.
    _, ended["own_step"] = takers.of_steps(ended["env_steps"].astype(np.int64) - 1)
    taken = zip(*takers.of_steps(env_steps.astype(np.int64)), strict=True)
    return [
        _origin(settings, seed, int(number), int(env_index), int(own_step), ended)
        for number, (env_index, own_step) in zip(env_steps, taken, strict=True)
    ]


def _coins(settings: Settings, seed: int, row: int) -> Float[np.ndarray, "1"]:
    """The coin of one env step: below ε its action was random."""
    if settings.environment.source == "device":
        return np.asarray(acting_draws(seed_words(seed), np.uint32(row), 1).coins)
    coins, _ = exploration_draws(seed, row, 1)
    return coins


def _origin(
    settings: Settings,
    seed: int,
    number: int,
    env_index: int,
    vector_step: int,
    ended: dict[str, np.ndarray],
) -> Origin:
    num_envs = settings.environment.num_envs
    coins = _coins(settings, seed, vector_step * num_envs + env_index)
    if settings.environment.asynchronous_actors is None:
        epsilon = linear_epsilon(settings.exploration, np.array([number]))
    else:
        epsilon = epsilon_ladder(settings.exploration, num_envs)[[env_index]]
    own = ended["env_index"] == env_index
    last_steps = ended["own_step"][own]
    at = int(np.searchsorted(last_steps, vector_step))
    if at < len(last_steps):
        episode, length = int(ended["episode"][own][at]), int(ended["length"][own][at])
        step = length - int(last_steps[at] - vector_step)
    else:
        episode = int(ended["episode"][own][-1]) + 1 if at else 0
        step = vector_step - (int(last_steps[-1]) if at else -1)
    explored = bool(explores(epsilon, coins)[0])
    return Origin(number, env_index, episode, step, float(epsilon[0]), explored)
