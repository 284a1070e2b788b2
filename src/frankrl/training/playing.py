"""Greedy episodes, several at the same time in one process."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from frankrl.config import MAX_EVALUATION_ENVS
from frankrl.core.errors import EnvironmentFailedError, warn
from frankrl.environments import SUCCESS, EnvGroup, EnvironmentSpec, EnvStep, FrameStack
from frankrl.experience import QValues


class EndedEpisode(NamedTuple):
    """An episode that has ended."""

    episode: int
    """Its number."""
    episode_return: float
    length: int
    success: float
    """What `is_success` was at its end; NaN if it was not given."""


class Playing:
    """Plays the episodes with some numbers, each of them once.

    The Q-values of an episode are in the same row of every batch, the remainder of its number: the
    last bits of a product of matrices depend on the number of rows and on the place of a row. So
    they depend neither on how many environments there are nor on what else is played here.
    """

    def __init__(
        self,
        spec: EnvironmentSpec,
        envs: EnvGroup,
        most_at_once: int,
        seeds: Mapping[int, int],
        most_steps: int,
        *,
        restarts: bool = False,
    ) -> None:
        """Begin the first episodes.

        Args:
            spec: the environment.
            envs: environments to play in, for these episodes alone.
            most_at_once: how many of these may be used.
            seeds: the reset seed of each episode, by its number.
            most_steps: an episode is ended after so many steps.
            restarts: whether an environment that fails is made anew, and its episode played once
                more.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        self._envs, self._seeds, self._most_steps = envs, seeds, most_steps
        self._waiting = list(seeds)
        """The episodes that have not begun."""
        self._idle = list(range(most_at_once))
        """The environments that play none."""
        self._playing: dict[int, int] = {}
        """The episode that each of the others is playing."""
        self._restarts = restarts
        self._played_again: set[int] = set()
        """The episodes that are played for the second time, after a failure."""
        self._stack = FrameStack(spec, MAX_EVALUATION_ENVS)
        self._memory: Float[np.ndarray, "row unit"] | None = None
        """What is remembered of each row's episode; None before the first step, or always."""
        self._returns: dict[int, float] = {}
        self._lengths: dict[int, int] = {}
        self._begin()

    @property
    def is_running(self) -> bool:
        """Whether an episode is being played."""
        return bool(self._playing)

    def step(self, q_values: QValues) -> list[EndedEpisode]:
        """Step every running episode once, and begin others in the place of those that end.

        Raises:
            EnvironmentFailedError: an environment raised, or returned something impossible.
        """
        values, memory = q_values(self._stack.observation, self._stack.mask, memory=self._memory)
        actions = np.argmax(values, axis=1)
        env_indices = list(self._playing)
        rows = [_row(self._playing[env_index]) for env_index in env_indices]
        found, failures = self._envs.try_step(env_indices, actions[rows].tolist())
        again = {}
        for place in sorted(failures):
            again[env_indices[place]] = episode = self._playing.pop(env_indices[place])
            self._make_anew(env_indices[place], episode, failures[place])
        # One that was not stepped because another failed takes the same action in the next step.
        steps = {
            index: step for index, step in zip(env_indices, found, strict=True) if step is not None
        }
        if steps:
            rows = [_row(self._playing[env_index]) for env_index in steps]
            self._stack.push(np.stack([step.row for step in steps.values()]), rows)
            if memory is not None:
                self._remember(rows, memory)
        ended = [self._noted(env_index, step) for env_index, step in steps.items()]
        self._reset(again)
        self._begin()
        return [episode for episode in ended if episode is not None]

    def _remember(self, rows: list[int], after: Float[np.ndarray, "row unit"]) -> None:
        """Take the memory of the rows that were stepped; the others see the same once more."""
        if self._memory is None:
            self._memory = np.zeros_like(after)
        self._memory[rows] = after[rows]

    def _noted(self, env_index: int, step: EnvStep) -> EndedEpisode | None:
        """Note a step; returns its episode if it has ended that."""
        episode = self._playing[env_index]
        self._returns[episode] += step.reward
        self._lengths[episode] += 1
        length = self._lengths[episode]
        if not (step.terminated or step.truncated or length >= self._most_steps):
            return None
        del self._playing[env_index]
        self._idle.append(env_index)
        info = step.final_info
        success = np.nan if info is None else info.values.get(SUCCESS, np.nan)
        return EndedEpisode(episode, self._returns[episode], length, success)

    def _begin(self) -> None:
        """Begin waiting episodes in idle environments, as far as their rows are free."""
        if not (self._idle and self._waiting):
            return
        taken = {_row(episode) for episode in self._playing.values()}
        begun: dict[int, int] = {}
        for episode in self._waiting:
            if self._idle and _row(episode) not in taken:
                taken.add(_row(episode))
                begun[self._idle.pop(0)] = episode
        if begun:
            self._waiting = [n for n in self._waiting if n not in begun.values()]
            self._reset(begun)

    def _reset(self, episodes: dict[int, int]) -> None:
        """Begin an episode in each of some environments."""
        for episode in episodes.values():
            self._returns[episode], self._lengths[episode] = 0.0, 0
        while episodes:
            indices, numbers = list(episodes), list(episodes.values())
            seeds = [self._seeds[episode] for episode in numbers]
            rows, failures = self._envs.try_reset(indices, seeds, numbers)
            for place in sorted(failures):
                self._make_anew(indices[place], numbers[place], failures[place])
            begun = {
                index: row for index, row in zip(indices, rows, strict=True) if row is not None
            }
            if begun:
                places = [_row(episodes[index]) for index in begun]
                self._stack.begin(places, np.stack(list(begun.values())))
                if self._memory is not None:
                    self._memory[places] = 0
            self._playing |= {index: episodes.pop(index) for index in begun}

    def _make_anew(self, env_index: int, episode: int, error: EnvironmentFailedError) -> None:
        """Make an environment anew that failed, so that its episode can be played once more."""
        if not self._restarts or episode in self._played_again:
            raise error
        warn(f"{error}; it is made anew, and this episode of the evaluation is played again")
        self._played_again.add(episode)
        self._envs.make_anew(env_index)


def _row(episode: int) -> int:
    """The row of an episode in every batch."""
    return episode % MAX_EVALUATION_ENVS
