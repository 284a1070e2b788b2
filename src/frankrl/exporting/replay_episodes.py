"""The whole episodes of a replay buffer."""

from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Int

from frankrl.core.errors import SettingError
from frankrl.core.numerics import own_numerics
from frankrl.core.wording import option
from frankrl.datasets import DataEpisode
from frankrl.environments import EnvironmentSpec
from frankrl.exporting.own_form import own_observations
from frankrl.replay import ReplayBuffer, ReplayState, endings_of, steps_of
from frankrl.runs import RunFolder, load_checkpoint
from frankrl.training.checkpoint_metadata import count_in, replay_start_in
from frankrl.training.opened import OpenedNetwork
from frankrl.training.replay_codec import REPLAY, most_replay_bytes, replay_from
from frankrl.training.state import Experiment


@own_numerics()
def open_replay(folder: RunFolder, opened: OpenedNetwork) -> tuple[ReplayBuffer, ReplayState]:
    """The replay buffer at the checkpoint of a Q-network.

    Args:
        folder: the run's folder.
        opened: the network of its newest checkpoint.

    Raises:
        SettingError: there is none, or it does not hold episodes as they were.
        RunFolderError: the checkpoint is damaged, or gone.
    """
    _refuse_other_episodes(opened.experiment)
    experiment = opened.experiment.with_replay_start(replay_start_in(opened.info))
    env_steps = count_in(opened.info, "env_steps")
    largest = {REPLAY: most_replay_bytes(experiment)}
    loaded = load_checkpoint(folder.checkpoints / f"{env_steps:012d}", largest, optional=(REPLAY,))
    if REPLAY not in loaded.tensors:
        raise SettingError(
            f"{loaded.path} does not hold the replay buffer, because of the setting "
            f"checkpoint_replay: {instead()}"
        )
    return experiment.replay, replay_from(loaded, experiment, env_steps)


def whole_episodes(
    spec: EnvironmentSpec, buffer: ReplayBuffer, state: ReplayState
) -> Iterator[DataEpisode]:
    """The episodes of which the buffer holds every step and the end, in the order of their begins.

    Rewards are the environment's own, as the buffer holds them: with 32 bits.

    Args:
        spec: the environment.
        buffer: the buffer's definition; each environment's steps follow each other there.
        state: its contents.
    """
    for env_steps in _episode_steps(buffer, state):
        steps = steps_of(state, env_steps)
        number = int(steps.ending[-1]) - 1
        last = endings_of(state, range(number, number + 1))
        observation, mask = jax.tree.map(
            lambda before, end: np.concatenate([before, end]),
            (steps.observation, steps.mask),
            (last.observation, last.mask),
        )
        terminated = bool(steps.terminated[-1])
        yield DataEpisode(
            observations=own_observations(spec, observation, mask),
            actions=steps.action.astype(np.int64) + spec.first_action,
            rewards=steps.reward.astype(np.float64),
            terminated=terminated,
            truncated=not terminated,
            masks=mask if spec.mask_entries is None else None,
        )


def _episode_steps(buffer: ReplayBuffer, state: ReplayState) -> list[Int[np.ndarray, " step"]]:
    """The env steps of each whole episode."""
    num_steps, num_envs, rows = int(state.num_steps), buffer.num_envs, buffer.num_rows
    first, _ = buffer.drawable(num_steps)
    is_end = np.asarray(state.ending) > 0
    episodes = []
    for env_index in range(num_envs):
        own = np.arange(first + (env_index - first) % num_envs, num_steps, num_envs)
        if not len(own):
            continue
        parts = np.split(own, np.flatnonzero(is_end[own % rows]) + 1)
        before = int(own[0]) - num_envs
        # Where the buffer began within the run, it is not known whether an episode began there.
        begins = own[0] < num_envs or (before >= buffer.first_env_step and is_end[before % rows])
        # The last part is the running episode, or empty.
        episodes += parts[0 if begins else 1 : -1]
    return sorted(episodes, key=lambda env_steps: int(env_steps[0]))


def _refuse_other_episodes(experiment: Experiment) -> None:
    """Refuse runs whose buffer does not hold what the environment gave.

    Raises:
        SettingError: it does not.
    """
    settings, reason = experiment.settings, ""
    if not settings.has_replay:
        reason = "the run has no replay buffer"
    elif settings.is_offline:
        reason = "the run has not acted, and its replay buffer holds the data set it learned from"
    elif experiment.spec.preprocessing.clip_rewards:
        reason = "the replay buffer holds clipped rewards (clip_rewards), not the environment's own"
    elif settings.environment.asynchronous_actors is not None:
        reason = "with asynchronous_actors the replay buffer holds parts of episodes"
    elif settings.learning.bootstrap_on != "truncation":
        how = f"bootstrap_on {settings.learning.bootstrap_on}"
        reason = f"with {how} the replay buffer does not hold which episodes terminated"
    elif experiment.spec.preprocessing.life_loss_terminates:
        reason = (
            "with life_loss_terminates the replay buffer does not tell a time limit from the end "
            "of a game"
        )
    if reason:
        raise SettingError(f"{reason}: {instead()}")


def instead() -> str:
    """What to do where the buffer cannot be written."""
    return f"write fresh episodes with {option('evaluation_episodes', 100)}"
