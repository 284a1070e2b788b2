"""A replay buffer by the slowest means, a deque of finished transitions, and what fills it."""

import collections
import dataclasses
from typing import Any

import jax
import numpy as np

from frankrl.core.types import Steps, Transition

NUM_ACTIONS = 5


@dataclasses.dataclass
class NaiveStep:
    """One step of one environment, with all that it gave."""

    observation: Any
    mask: Any
    action: int
    reward: float
    arrived: Any
    """The observation that it arrived at, at an episode's end the last one."""
    arrived_mask: Any
    terminated: bool
    truncated: bool
    life_lost: bool
    """Counts as termination while the episode goes on."""


class NaiveReplay:
    """Keeps finished transitions, each with both its observations; the oldest goes first.

    Of each environment it remembers the last n steps. With every further one the transition
    that begins with the oldest of them is finished. Stacks are made when a step comes.
    """

    def __init__(
        self,
        capacity: int,
        num_envs: int,
        n_step: int,
        gamma: float,
        frame_stack: int = 1,
        skipped: int = 0,
    ) -> None:
        self._n_step, self._gamma, self._frame_stack = n_step, gamma, frame_stack
        self._episodes: list[list[Any]] = [[] for _ in range(num_envs)]
        """The observations of each environment's running episode."""
        self._skipped = skipped
        """So many transitions at the beginning are not kept."""
        self._steps: list[list[NaiveStep]] = [[] for _ in range(num_envs)]
        self.transitions: collections.deque[Transition] = collections.deque(maxlen=capacity)

    def append(self, env_index: int, step: NaiveStep) -> None:
        steps, episode = self._steps[env_index], self._episodes[env_index]
        episode.append(step.observation)
        whole = [*episode, step.arrived]
        steps.append(
            dataclasses.replace(step, observation=self._stack(episode), arrived=self._stack(whole))
        )
        if step.terminated or step.truncated:
            episode.clear()
        if len(steps) == self._n_step:
            if self._skipped:
                self._skipped -= 1
            else:
                self.transitions.append(self._finished(steps))
            del steps[0]

    def cut_short(self, env_index: int) -> None:
        self._episodes[env_index].clear()
        for step in self._steps[env_index][-1:]:
            step.truncated = True

    def _stack(self, episode: list[Any]) -> Any:
        if self._frame_stack == 1:
            return episode[-1]
        zeros = jax.tree.map(np.zeros_like, episode[0])
        return stacked(([zeros] * self._frame_stack + episode)[-self._frame_stack :])

    def _finished(self, steps: list[NaiveStep]) -> Transition:
        reward, discount = 0.0, 1.0
        for step in steps:
            reward += discount * step.reward
            discount *= self._gamma
            if step.terminated or step.truncated or step.life_lost:
                break
        return Transition(
            observation=steps[0].observation,
            action=np.uint16(steps[0].action),
            reward=np.float32(reward),
            next_observation=step.arrived,
            discount=np.float32(0.0 if step.terminated or step.life_lost else discount),
            mask=steps[0].mask,
            next_mask=step.arrived_mask,
        )

    @property
    def num_drawable(self) -> int:
        return len(self.transitions)

    def batch(self, count: int) -> Transition:
        """The transitions, the oldest first; the newest again and again after them."""
        found = list(self.transitions)
        return stacked([*found, *found[-1:] * (count - len(found))])


def stacked(records: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *records)


class World:
    """Environments in which everything is a function of a number that never comes twice."""

    def __init__(self, num_envs: int, kind: str, *, masked: bool, seed: int) -> None:
        self.num_envs = num_envs
        self._kind, self._masked = kind, masked
        self._random = np.random.default_rng(seed)
        self._next_id = 1
        self._now = [self._new_id() for _ in range(num_envs)]

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def observation(self, number: int) -> Any:
        vector = np.array([number, -number], np.float32)
        if self._kind == "lone":
            return vector
        low, high = number % 256, number // 256
        return {"picture": np.array([[low, high], [high, low]], np.uint8), "vector": vector}

    def mask(self, number: int) -> np.ndarray | None:
        """Every state allows the first action, and others."""
        bits = np.arange(NUM_ACTIONS)
        return (number >> bits & 1 == 1) | (bits == 0) if self._masked else None

    def reset(self, env_index: int) -> None:
        """The environment begins another episode, whatever it was in."""
        self._now[env_index] = self._new_id()

    def vector_step(self, terminates: Any, truncates: Any, loses_life: Any = 0) -> list[NaiveStep]:
        """A step of every environment, which ends its episode, or loses a life, with these
        probabilities: one for all, or one for each."""
        given = (terminates, truncates, loses_life)
        chances = (np.broadcast_to(chance, self.num_envs) for chance in given)
        return [self._step(index, *ends) for index, ends in enumerate(zip(*chances, strict=True))]

    def _step(self, env_index: int, *chances: float) -> NaiveStep:
        number, arrived = self._now[env_index], self._new_id()
        terminated, truncated, life_lost = self._random.random(3) < chances
        self._now[env_index] = self._new_id() if terminated or truncated else arrived
        return NaiveStep(
            observation=self.observation(number),
            mask=self.mask(number),
            action=number,
            reward=float(number - 1_000),
            arrived=self.observation(arrived),
            arrived_mask=self.mask(arrived),
            terminated=bool(terminated),
            truncated=bool(truncated),
            life_lost=bool(life_lost),
        )

    def steps(self, vector_steps: list[list[NaiveStep]]) -> Steps:
        """A round as a source gives it; what stands for nothing is filled with nines."""
        rows = [step for vector_step in vector_steps for step in vector_step]
        seen = [*rows, *map(self._standing, self._now)]
        last = [step for step in rows if step.terminated or step.truncated]
        nothing = jax.tree.map(lambda leaf: np.full_like(leaf, 9), rows[0].observation)
        no_mask = None if rows[0].mask is None else np.ones(NUM_ACTIONS, bool)
        rest = len(rows) - len(last)
        return Steps(
            observation=stacked([step.observation for step in seen]),
            mask=stacked([step.mask for step in seen]),
            action=np.array([step.action for step in rows]),
            reward=np.array([step.reward for step in rows], np.float32),
            is_last=np.array([step.terminated or step.truncated for step in rows]),
            terminated=np.array([step.terminated or step.life_lost for step in rows]),
            last_observation=stacked([*(step.arrived for step in last), *[nothing] * rest]),
            last_mask=stacked([*(step.arrived_mask for step in last), *[no_mask] * rest]),
        )

    def _standing(self, number: int) -> NaiveStep:
        observation, mask = self.observation(number), self.mask(number)
        return NaiveStep(observation, mask, 0, 0.0, None, None, False, False, False)
