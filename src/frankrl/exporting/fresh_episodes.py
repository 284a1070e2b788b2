"""Episodes that are played for a data set."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from frankrl.core.random import Use, generator, reset_seed
from frankrl.datasets import DataEpisode
from frankrl.environments import EnvGroup, EnvironmentSpec, EnvStep
from frankrl.environments.env_group import Tried
from frankrl.experience import QValues
from frankrl.exporting.own_form import own_observations
from frankrl.training.playing import Playing

_SEEDS_TOGETHER = 4_096
"""Episodes whose seeds are computed together."""


class Plan(NamedTuple):
    """Which episodes are played, and how."""

    episodes: int | None
    """Number of episodes; None: see `env_steps`."""
    env_steps: int | None
    """Episodes are played until they have so many env steps together; None: see `episodes`."""
    epsilon: float
    """Probability of a random action; 0: greedy, 1: all at random."""
    seed: int
    """Decides the reset seeds and the random actions."""
    at_once: int
    """Environments; the episodes do not depend on it."""
    most_steps: int
    """An episode is truncated after so many steps."""

    def is_done(self, episodes: int, env_steps: int) -> bool:
        """Whether these are enough."""
        if self.episodes is not None:
            return episodes >= self.episodes
        return self.env_steps is None or env_steps >= self.env_steps

    def shown(self, episodes: int, env_steps: int) -> tuple[int, int]:
        """What is done, and all there is to do."""
        if self.episodes is not None:
            return episodes, self.episodes
        most = self.env_steps or 0
        return min(env_steps, most), most


def played_episodes(
    q_values: QValues,
    spec: EnvironmentSpec,
    plan: Plan,
    show: Callable[[int, int], None] = lambda done, of: None,
) -> Iterator[DataEpisode]:
    """Play episodes in new environments, in the order of their numbers.

    Args:
        q_values: maps a batch of observations and action masks to Q-values.
        spec: the environment.
        plan: which episodes are played, and how.
        show: called with what is done and all there is to do.

    Raises:
        EnvironmentFailedError: an environment raised, or returned something impossible.
        EnvironmentUnusableError: an environment cannot be made.
    """
    count = plan.at_once if plan.episodes is None else min(plan.at_once, plan.episodes)
    envs = RecordedEnvs(spec, count, plan.epsilon, plan.seed)
    episodes = env_steps = 0
    try:
        for episode in _in_order(q_values, spec, plan, envs):
            episodes, env_steps = episodes + 1, env_steps + episode.num_steps
            show(*plan.shown(episodes, env_steps))
            yield episode
            if plan.is_done(episodes, env_steps):
                return
    finally:
        envs.close()


def _in_order(
    q_values: QValues, spec: EnvironmentSpec, plan: Plan, envs: "RecordedEnvs"
) -> Iterator[DataEpisode]:
    """All episodes of a plan, in the order of their numbers; without `episodes` there is no end."""
    begin = 0
    while plan.episodes is None or begin < plan.episodes:
        end = begin + _SEEDS_TOGETHER
        numbers = range(begin, end if plan.episodes is None else min(end, plan.episodes))
        seeds = {n: reset_seed(plan.seed, Use.DATA_RESET, 0, n) for n in numbers}
        play = Playing(spec, envs, envs.count, seeds, plan.most_steps)
        ended: set[int] = set()
        for number in numbers:
            while number not in ended:
                ended |= {episode.episode for episode in play.step(q_values)}
            yield envs.taken(number)
        begin = numbers.stop


@dataclass
class _Record:
    """An episode while it is played."""

    seed: int
    rows: list[Shaped[np.ndarray, "*row"]]
    draws: np.random.Generator
    actions: list[int] = field(default_factory=list)
    steps: list[EnvStep] = field(default_factory=list)


class RecordedEnvs(EnvGroup):
    """Environments whose episodes are kept; some actions are replaced by random ones."""

    def __init__(self, spec: EnvironmentSpec, count: int, epsilon: float, seed: int) -> None:
        """Make the environments.

        Args:
            spec: the environment.
            count: number of environments.
            epsilon: probability of a random action.
            seed: decides random actions, together with the number of the episode.
        """
        self.count = count
        self._described, self._epsilon, self._seed = spec, epsilon, seed
        self._records: dict[int, _Record] = {}
        """By the number of the episode."""
        self._episode: dict[int, int] = {}
        """The newest episode of each environment."""
        super().__init__(spec, count)

    def try_reset(
        self, env_indices: Sequence[int], seeds: Sequence[int], episodes: Sequence[int]
    ) -> Tried[np.ndarray]:
        """See `EnvGroup.try_reset`."""
        tried = super().try_reset(env_indices, seeds, episodes)
        for index, seed, number, row in zip(env_indices, seeds, episodes, tried.found, strict=True):
            if row is not None:
                draws = generator(self._seed, Use.DATA_EXPLORATION, number)
                self._records[number] = _Record(seed, [row.copy()], draws)
                self._episode[index] = number
        return tried

    def try_step(self, env_indices: Sequence[int], actions: Sequence[int]) -> Tried[EnvStep]:
        """See `EnvGroup.try_step`."""
        records = [self._records[self._episode[index]] for index in env_indices]
        taken = [self._chosen(*each) for each in zip(records, actions, strict=True)]
        tried = super().try_step(env_indices, taken)
        for record, action, step in zip(records, taken, tried.found, strict=True):
            if step is not None:
                record.actions.append(action)
                record.rows.append(step.row.copy())
                record.steps.append(step)
        return tried

    def taken(self, number: int) -> DataEpisode:
        """An episode that has ended; it is kept no longer."""
        spec, record = self._described, self._records.pop(number)
        rows, last = np.stack(record.rows), record.steps[-1]
        masks = spec.action_mask(rows)
        return DataEpisode(
            observations=own_observations(spec, spec.observation(rows), masks),
            actions=np.array(record.actions, np.int64) + spec.first_action,
            rewards=np.array([step.reward for step in record.steps], np.float64),
            terminated=last.terminated,
            # Where the environment has no time limit, an evaluation's ends the episode.
            truncated=last.truncated or not last.terminated,
            masks=None if masks is None or spec.mask_entries is not None else masks.copy(),
            seed=record.seed,
        )

    def _chosen(self, record: _Record, action: int) -> int:
        if self._epsilon == 0:
            return action
        coin, choice = record.draws.random(2)
        if coin >= self._epsilon:
            return action
        allowed = self._described.action_mask(record.rows[-1])
        if allowed is None:
            return int(choice * self._described.num_actions)
        return int(np.flatnonzero(allowed)[int(choice * allowed.sum())])
