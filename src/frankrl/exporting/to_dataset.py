"""Writes episodes of a run as a data set."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frankrl.agent import Agent
from frankrl.config import MAX_EPISODES, EvaluationSettings
from frankrl.core.errors import SettingError, check_type, warn
from frankrl.core.random import check_seed
from frankrl.core.text import given
from frankrl.core.wording import option
from frankrl.datasets import DataEpisode, check_place, write_dataset
from frankrl.exporting.data_set import described
from frankrl.exporting.fresh_episodes import Plan, played_episodes
from frankrl.exporting.replay_episodes import instead, open_replay, whole_episodes
from frankrl.exporting.trained_network import TrainedNetwork
from frankrl.runs import RunFolder
from frankrl.runs.group import is_group
from frankrl.runs.place import is_run
from frankrl.training.checkpoint_metadata import count_in
from frankrl.training.opened import OpenedNetwork

_MAX_ENV_STEPS = 10**12


@dataclass(frozen=True)
class DataSetOptions:
    """What is written, and where; the fields are the arguments of `frankrl.export_dataset`."""

    name: str
    out: Path | None
    evaluation_episodes: int | None
    evaluation_env_steps: int | None
    epsilon: float
    seed: int
    best: bool
    author: str

    @property
    def is_fresh(self) -> bool:
        """Whether episodes are played."""
        return self.evaluation_episodes is not None or self.evaluation_env_steps is not None

    def check(self) -> None:
        """Check everything that can be known before the run is opened.

        Raises:
            SettingError: a value is not allowed, contradicts another, or the data set exists.
            MissingExtraError: the extra `minari` is not installed.
        """
        check_type(self.best, "best", bool, "True or False")
        check_type(self.author, "author", str, "a text")
        check_seed(self.seed)
        _check_count("evaluation_episodes", self.evaluation_episodes, MAX_EPISODES)
        _check_count("evaluation_env_steps", self.evaluation_env_steps, _MAX_ENV_STEPS)
        number = self.epsilon
        if type(number) not in (int, float) or not 0 <= number <= 1 or math.isnan(number):
            raise SettingError(f"epsilon must be a number from 0 to 1, got {given(number)}")
        if self.evaluation_episodes is not None and self.evaluation_env_steps is not None:
            raise SettingError(
                f"give {option('evaluation_episodes')} or {option('evaluation_env_steps')}, not "
                "both: each says how many fresh episodes are played"
            )
        if not self.is_fresh and (number or self.best):
            which = option("epsilon") if number else option("best")
            raise SettingError(
                f"{which} is for fresh episodes: give {option('evaluation_episodes', 100)}, too, "
                f"or leave it out for the episodes of the replay buffer"
            )
        for folder in check_place(self.name, self.out).absolute().parents:
            if is_run(folder) or is_group(folder):
                raise SettingError(
                    f"{folder} is a run, or a group of runs, and holds nothing else: choose "
                    f"another {option('out')} than {self.out}"
                )


def write_episodes(
    folder: RunFolder,
    opened: OpenedNetwork,
    agent: Agent,
    evaluation: EvaluationSettings,
    options: DataSetOptions,
    show: Callable[[int, int], None],
) -> Path:
    """Write a data set; arguments and errors as of `frankrl.export_dataset`.

    Args:
        folder: the run's folder.
        opened: its Q-network.
        agent: its agent, which may make its environment if fresh episodes are wanted.
        evaluation: how many environments are made, and when an episode is cut off.
        options: what is written.
        show: called with what is done and all there is to do.
    """
    spec, plan = agent.spec, None
    if options.is_fresh:
        plan = Plan(
            episodes=options.evaluation_episodes,
            env_steps=options.evaluation_env_steps,
            epsilon=float(options.epsilon),
            seed=options.seed,
            at_once=evaluation.evaluation_envs,
            most_steps=evaluation.evaluation_max_episode_steps,
        )
    if spec.running_statistics:
        warn(
            f"{spec.env_id} has the wrappers {', '.join(spec.running_statistics)}, which normalise "
            "by all that they have seen: the data set holds what they gave"
        )
    env_steps = count_in(opened.info, "env_steps")
    trained = TrainedNetwork(
        network=opened.experiment.network,
        params=opened.params,
        scales=opened.scales,
        spec=spec,
        folder=folder,
        env_steps=env_steps,
    )
    episodes = _episodes(folder, opened, agent, plan, show)
    description = described(trained, plan, options.author)
    return write_dataset(options.name, options.out, description, episodes)


def _episodes(
    folder: RunFolder,
    opened: OpenedNetwork,
    agent: Agent,
    plan: Plan | None,
    show: Callable[[int, int], None],
) -> Iterator[DataEpisode]:
    if plan is not None:
        yield from played_episodes(agent.batch_q_values, agent.spec, plan, show)
        return
    number = 0
    for episode in whole_episodes(agent.spec, *open_replay(folder, opened)):
        number += 1
        yield episode
    if not number:
        raise SettingError(f"the replay buffer holds no whole episode: {instead()}")


def _check_count(name: str, count: Any, most: int) -> None:
    if count is not None and (type(count) is not int or not 1 <= count <= most):
        raise SettingError(
            f"{option(name)} must be a whole number from 1 to {most:,}, got {given(count)}"
        )
